#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "peft/adapter/model_tree.h"
#include "peft/offload_index.h"

namespace peft {

/// "disk", "cpu" or a device such as "cuda:0" for the parts of a model, by the names of modules or
/// parameters; "" is all of it, and of several names that fit the longest counts.
///
/// Source: device_map of accelerate's dispatch_model.
using DeviceMap = std::map<std::string, std::string>;

struct DispatchOptions {
  /// Where weights are written that stay on disk: those of no file in offload_index, and all that
  /// are changed by merging. The files go when their weights do. Empty: neither is possible.
  std::filesystem::path offload_dir = {};
  /// Files that hold weights already, by the names of the model's parameters.
  OffloadIndex offload_index = {};
  /// Computes with what is offloaded; unset: the device in the map, or the CPU.
  std::optional<at::Device> execution_device = {};
};

/// Puts each weight of a model where the map says. What is on disk, or on the CPU while another
/// device computes, is brought in by each operator that reads it and let go afterwards; its memory
/// is freed, and it is frozen. Adapters and buffers go to the device that computes; adapters may be
/// put on the model before or after. Works for every way of calling the model, with adapters and
/// without; merging changes one weight after the other.
///
/// Throws: ConfigError (a weight that no name in the map fits, a word that is no place, two devices
/// that compute, a device that is not there), NotFoundError, FormatError, MismatchError (a file of
/// the index), IoError; the model is then as it was.
/// Source: dispatch_model and AlignDevicesHook in accelerate/big_modeling.py and hooks.py, which
/// Python PEFT asks for the same.
void dispatch_model(const ModelTree& model, const DeviceMap& device_map,
                    const DispatchOptions& options = {});
void dispatch_model(std::shared_ptr<torch::nn::Module> model, const DeviceMap& device_map,
                    const DispatchOptions& options = {});
void dispatch_model(const PeftModel& model, const DeviceMap& device_map,
                    const DispatchOptions& options = {});

/// Brings every offloaded weight of a model back into memory, on the device that computes.
/// Source: remove_hook_from_submodules in accelerate/hooks.py.
void remove_offload(const ModelTree& model);
void remove_offload(std::shared_ptr<torch::nn::Module> model);
void remove_offload(const PeftModel& model);

}  // namespace peft
