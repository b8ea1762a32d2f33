#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "peft/base/mapped_file.h"
#include "peft/formats/safetensors_header.h"
#include "peft/tensor/state_dict.h"

namespace peft::formats {

/// A safetensors file, mapped: opening reads the header alone, a tensor's bytes are read when they
/// are touched. Tensors share the mapping and keep it alive; writing to one changes this process's
/// copy of the page, never the file.
class SafetensorsFile {
 public:
  /// Throws: NotFoundError, IoError, FormatError.
  explicit SafetensorsFile(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return file_->path(); }
  const SafetensorsHeader& header() const { return header_; }
  bool contains(std::string_view name) const;

  /// One tensor, converted where `dtype` asks for another floating type.
  /// Throws: NotFoundError with the closest names; UnsupportedError (a dtype ATen does not have).
  at::Tensor load(std::string_view name, std::optional<at::ScalarType> dtype = std::nullopt) const;

  /// All tensors, in the order of the file.
  StateDict load_all() const;

 private:
  at::Tensor view(const SafetensorsEntry& entry) const;

  std::shared_ptr<const MappedFile> file_;
  SafetensorsHeader header_;
  std::unordered_map<std::string_view, size_t> places_;
};

}  // namespace peft::formats
