#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cstring>
#include <memory>

#include "peft/base/error.h"
#include "peft/base/mapped_file.h"
#include "peft/base/text.h"
#include "peft/formats/torch_checkpoint_file.h"
#include "peft/formats/torch_file.h"
#include "peft/tensor/dtype.h"

namespace peft::formats {

StateDict read_torch_file(const std::filesystem::path& path) {
  const auto file = std::make_shared<MappedFile>(path);
  StateDict tensors;
  uint64_t copied = 0;
  for (const TorchFileEntry& entry : parse_torch_file(file->bytes(), path.string())) {
    const auto dtype = dtype_from_safetensors(entry.dtype);
    if (!dtype) {
      throw UnsupportedError(fmt::format("{}: tensor {}: libtorch has no dtype for {}.",
                                         path.string(), quote(entry.name), entry.dtype));
    }
    const auto options = at::TensorOptions().dtype(*dtype);
    if (entry.begin == entry.end) {
      tensors.set(entry.name, at::empty(entry.shape, options));
      continue;
    }
    auto* bytes = const_cast<std::byte*>(file->bytes().data()) + entry.begin;
    if (reinterpret_cast<uintptr_t>(bytes) % c10::elementSize(*dtype) == 0) {
      tensors.set(entry.name,
                  at::from_blob(
                      bytes, entry.shape, entry.stride, [keep = file](void*) {}, options));
      continue;
    }
    // A foreign writer may place storages at odd addresses, which ATen's kernels do not expect.
    // Many tensors of one storage must not make copies without end.
    copied += entry.end - entry.begin;
    if (copied > file->bytes().size()) {
      throw UnsupportedError(fmt::format(
          "{}: tensor {}: expected storages at multiples of their elements' size, got shared ones "
          "elsewhere. Save the file again with torch.save.",
          path.string(), quote(entry.name)));
    }
    const auto length = static_cast<int64_t>((entry.end - entry.begin) / c10::elementSize(*dtype));
    const at::Tensor copy = at::empty({length}, options);
    std::memcpy(copy.data_ptr(), bytes, entry.end - entry.begin);
    tensors.set(entry.name, copy.as_strided(entry.shape, entry.stride));
  }
  return tensors;
}

}  // namespace peft::formats
