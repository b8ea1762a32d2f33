// Any bytes give a header whose values can be read and whose tensors can be unpacked, or an error.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "peft/base/error.h"
#include "peft/formats/gguf_header.h"
#include "peft/formats/gguf_names.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using peft::formats::GgufHeader;
  const auto bytes = std::as_bytes(std::span(data, size));
  try {
    const GgufHeader header = GgufHeader::parse(bytes, "input");
    for (const auto& value : header.metadata()) GgufHeader::json(value);
    for (const auto& tensor : header.tensors()) {
      if (tensor.begin > size || tensor.bytes > size - tensor.begin) std::abort();
      if (tensor.type->unpack == nullptr) continue;
      const size_t blocks = std::min<size_t>(tensor.bytes / tensor.type->bytes, 16);
      std::vector<float> numbers(blocks * tensor.type->elements);
      tensor.type->unpack(bytes.data() + tensor.begin, blocks, numbers.data());
    }
    peft::formats::config_from_gguf(header);
    peft::formats::generation_config_from_gguf(header);
    peft::formats::tokenizer_config_from_gguf(header);
  } catch (const peft::Error&) {
    return 0;
  }
  return 0;
}
