#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <memory>
#include <string>

#include "peft/adapter/offloaded_weight.h"
#include "peft/offload_index.h"

namespace peft {

/// The values in the CPU's memory, page-locked where `device` can read that.
std::shared_ptr<const OffloadedWeight> keep_in_memory(const at::Tensor& values, at::Device device);

/// The values in a file of their own in `folder`, which is deleted with the returned object.
/// Throws: ConfigError where `folder` is empty; IoError.
std::shared_ptr<const OffloadedWeight> keep_on_disk(const std::string& name,
                                                    const at::Tensor& values, at::Device device,
                                                    const std::filesystem::path& folder);

/// The values as a file holds them already, converted to the weight's type whenever they are read.
/// `folder`: where other values would be written.
/// Throws: NotFoundError, FormatError; MismatchError (another shape).
std::shared_ptr<const OffloadedWeight> find_on_disk(const std::string& name,
                                                    const at::Tensor& weight, at::Device device,
                                                    const OffloadEntry& entry,
                                                    const std::filesystem::path& folder);

}  // namespace peft
