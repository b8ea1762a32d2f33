// The first byte picks a class of tokenizer; then come the length of a SentencePiece model (16
// bits, little endian), the model and a text: the model is refused, or the text can be encoded and
// decoded.

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "peft/base/error.h"
#include "peft/tokenizers/tokenizer.h"

namespace {

using peft::tokenizers::Tokenizer;

void encode(std::string_view model, std::string_view text, const char* tokenizer_class) {
  const peft::Json config = {{"tokenizer_class", tokenizer_class}, {"extra_ids", 2}};
  const auto tokenizer = Tokenizer::from_sentencepiece(model, config, "input");
  const auto encoding = tokenizer->encode_pair(text, text);
  if (encoding.offsets.size() != encoding.ids.size()) std::abort();
  for (const auto& [begin, end] : encoding.offsets) {
    if (begin > text.size() || end > text.size()) std::abort();
  }
  tokenizer->decode(encoding.ids);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr const char* kClasses[] = {"LlamaTokenizer", "T5Tokenizer", "XLMRobertaTokenizer",
                                      "PreTrainedTokenizerFast"};
  if (size < 3) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t length = data[1] + size_t{data[2]} * 256;
  const std::string_view model = input.substr(3, length);
  try {
    encode(model, input.substr(3 + model.size()), kClasses[data[0] % 4]);
  } catch (const peft::Error&) {
    return 0;
  }
  return 0;
}
