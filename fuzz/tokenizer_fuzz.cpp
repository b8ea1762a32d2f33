// A tokenizer.json and a text, parted by a zero byte: the file is refused, or the text can be
// encoded and decoded.

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "peft/base/error.h"
#include "peft/tokenizers/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using peft::tokenizers::Tokenizer;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t end = input.find('\0');
  const std::string_view text = end == std::string_view::npos ? "" : input.substr(end + 1);
  try {
    const auto tokenizer = Tokenizer::from_json(input.substr(0, end), "input");
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
