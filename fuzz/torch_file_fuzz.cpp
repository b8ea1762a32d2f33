// Any bytes give tensors whose elements all lie inside the file, or an error. So do the bytes as
// the pickle alone, which a fuzzer reaches more easily than through an archive.

#include <cstdint>
#include <cstdlib>
#include <span>

#include "peft/base/error.h"
#include "peft/formats/pickle_reader.h"
#include "peft/formats/torch_file.h"

namespace {

void read_archive(std::span<const std::byte> bytes) {
  for (const auto& tensor : peft::formats::parse_torch_file(bytes, "input")) {
    if (tensor.begin > tensor.end || tensor.end > bytes.size()) std::abort();
    if (tensor.shape.size() != tensor.stride.size()) std::abort();
  }
}

void read_bare_pickle(std::span<const std::byte> bytes) {
  constexpr std::string_view kAllowed[] = {"collections OrderedDict",
                                           "torch._utils _rebuild_tensor_v2"};
  const auto pickle = peft::formats::read_pickle(bytes, "input", kAllowed);
  for (const auto& value : pickle.values) {
    for (const uint32_t item : value.items) {
      if (item >= pickle.values.size()) std::abort();
    }
  }
  peft::formats::describe(pickle, pickle.root);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  for (const auto read : {read_archive, read_bare_pickle}) {
    try {
      read(bytes);
    } catch (const peft::Error&) {
      continue;
    }
  }
  return 0;
}
