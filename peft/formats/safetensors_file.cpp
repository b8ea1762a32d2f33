#include "peft/formats/safetensors_file.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/tensor/dtype.h"

namespace peft::formats {

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path)
    : file_(std::make_shared<MappedFile>(path)),
      header_(parse_safetensors_header(file_->bytes(), path.string())) {
  for (size_t i = 0; i < header_.tensors.size(); i++) places_.emplace(header_.tensors[i].name, i);
}

bool SafetensorsFile::contains(std::string_view name) const { return places_.contains(name); }

at::Tensor SafetensorsFile::load(std::string_view name, std::optional<at::ScalarType> dtype) const {
  const auto place = places_.find(name);
  if (place == places_.end()) {
    std::vector<std::string> names;
    for (const auto& entry : header_.tensors) names.push_back(entry.name);
    throw NotFoundError(fmt::format("{}: there is no tensor {}. Closest names: {}.",
                                    path().string(), quote(name),
                                    join_names(closest_names(name, names))));
  }
  const at::Tensor tensor = view(header_.tensors[place->second]);
  return dtype && tensor.is_floating_point() ? tensor.to(*dtype) : tensor;
}

StateDict SafetensorsFile::load_all() const {
  StateDict out;
  for (const auto& entry : header_.tensors) out.set(entry.name, view(entry));
  return out;
}

at::Tensor SafetensorsFile::view(const SafetensorsEntry& entry) const {
  const auto dtype = dtype_from_safetensors(entry.dtype);
  if (!dtype) {
    throw UnsupportedError(fmt::format("{}: tensor {}: libtorch has no dtype for {}.",
                                       path().string(), quote(entry.name), entry.dtype));
  }
  const auto options = at::TensorOptions().dtype(*dtype);
  if (entry.begin == entry.end) return at::empty(entry.shape, options);
  auto* bytes = const_cast<std::byte*>(file_->bytes().data()) + entry.begin;
  if (reinterpret_cast<uintptr_t>(bytes) % c10::elementSize(*dtype) != 0) {
    // A foreign writer may pack tensors at odd addresses; ATen's kernels expect natural alignment.
    at::Tensor copy = at::empty(entry.shape, options);
    std::memcpy(copy.data_ptr(), bytes, entry.end - entry.begin);
    return copy;
  }
  return at::from_blob(
      bytes, entry.shape, [keep = file_](void*) {}, options);
}

}  // namespace peft::formats
