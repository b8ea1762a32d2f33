// A tokenizer.json, or the metadata of a GGUF file as JSON, and a text, parted by a zero byte: the
// file is refused, or the text can be encoded and decoded.

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "peft/base/error.h"
#include "peft/base/json_text.h"
#include "peft/tokenizers/tokenizer.h"

namespace {

using peft::tokenizers::Tokenizer;

std::shared_ptr<Tokenizer> read(std::string_view file) {
  if (file.find("tokenizer.ggml.model") == std::string_view::npos) {
    return Tokenizer::from_json(file, "input");
  }
  return Tokenizer::from_gguf_metadata(peft::parse_json(file, "input"), "input");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t end = input.find('\0');
  const std::string_view text = end == std::string_view::npos ? "" : input.substr(end + 1);
  try {
    const auto tokenizer = read(input.substr(0, end));
    const auto encoding = tokenizer->encode(text);
    if (encoding.offsets.size() != encoding.ids.size()) std::abort();
    for (const auto& [begin, stop] : encoding.offsets) {
      if (begin > text.size() || stop > text.size()) std::abort();
    }
    tokenizer->decode(encoding.ids);
    tokenizer->decode(encoding.ids, false);
    peft::tokenizers::StreamDecoder stream(tokenizer);
    for (const int64_t id : encoding.ids) stream.push(id);
    stream.finish();
  } catch (const peft::Error&) {
    return 0;
  }
  return 0;
}
