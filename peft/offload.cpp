#include "peft/offload.h"

#include <ATen/ATen.h>

#include <set>
#include <utility>
#include <vector>

#include "peft/adapter/offloaded_weight.h"
#include "peft/adapter/tag.h"
#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/offload_places.h"
#include "peft/tensor/device.h"

namespace peft {
namespace {

at::Device device_of(const std::string& word, const std::string& name) {
  if (const auto device = find_device(word)) return *device;
  throw ConfigError("device_map: " + quote(name) +
                    ": expected 'disk', 'cpu' or a device such as 'cuda:0', got " + quote(word) +
                    ".");
}

// The one that computes.
at::Device execution_device(const DeviceMap& map, const DispatchOptions& options) {
  std::optional<at::Device> found = options.execution_device;
  for (const auto& [name, word] : map) {
    if (word == "disk") continue;
    const at::Device device = device_of(word, name);
    if (device.is_cpu()) continue;
    if (found && *found != device) {
      throw ConfigError("device_map: expected one device that computes, got " + found->str() +
                        " and " + device.str() +
                        ". Keep the rest of the model on 'cpu' or 'disk'.");
    }
    found = device;
  }
  return checked_device(found.value_or(at::Device(at::kCPU)), "device_map");
}

const std::string& place_of(const std::string& parameter, const DeviceMap& map) {
  const std::pair<const std::string, std::string>* best = nullptr;
  for (const auto& entry : map) {
    const bool fits = entry.first.empty() || lies_under(parameter, entry.first);
    if (fits && (best == nullptr || entry.first.size() > best->first.size())) best = &entry;
  }
  if (best != nullptr) return best->second;
  throw ConfigError("device_map: expected a place for every weight, got none for " +
                    quote(parameter) + ". Name its module, or the whole model as \"\".");
}

struct Move {
  at::Tensor tensor;
  std::shared_ptr<const OffloadedWeight> place = {};  // null: it goes to the device in full
};

class Dispatcher {
 public:
  Dispatcher(const DeviceMap& map, const DispatchOptions& options)
      : map_(map), options_(options), device_(execution_device(map, options)) {}

  void plan(const ModelTree& model) {
    for (const ModuleEntry& module : model.modules()) {
      for (const auto& [name, tensor] : own_parameters(module)) {
        const std::string full = join_name(module.name, name);
        if (is_new(tensor)) moves_.push_back({tensor, place_for(full, tensor)});
      }
      for (const auto& [name, tensor] : own_buffers(module)) {
        if (is_new(tensor)) moves_.push_back({tensor});
      }
    }
    for (const auto& [name, tensor] : model.parameters()) {
      if (is_new(tensor)) moves_.push_back({tensor});
    }
  }

  void carry_out() {
    const at::NoGradGuard no_grad;
    for (Move& move : moves_) {
      if (move.place) {
        move.tensor.requires_grad_(false);
        offload(move.tensor, std::move(move.place), device_);
      } else {
        bring_back(move.tensor);
        if (move.tensor.device() != device_) move.tensor.set_data(move.tensor.to(device_));
      }
    }
  }

 private:
  bool is_new(const at::Tensor& tensor) {
    return seen_.insert(tensor.unsafeGetTensorImpl()).second;
  }

  std::shared_ptr<const OffloadedWeight> place_for(const std::string& name,
                                                   const at::Tensor& weight) const {
    const std::string& word = place_of(name, map_);
    if (word != "disk") {
      const bool stays = at::Device(word).is_cpu() && !device_.is_cpu();
      return stays ? keep_in_memory(base(weight).detach(), device_) : nullptr;
    }
    const auto entry = options_.offload_index.find(name);
    if (entry == options_.offload_index.end()) {
      return keep_on_disk(name, base(weight).detach(), device_, options_.offload_dir);
    }
    return find_on_disk(name, weight, device_, entry->second, options_.offload_dir);
  }

  const DeviceMap& map_;
  const DispatchOptions& options_;
  at::Device device_;
  std::set<const c10::TensorImpl*> seen_;
  std::vector<Move> moves_;
};

}  // namespace

void dispatch_model(const ModelTree& model, const DeviceMap& device_map,
                    const DispatchOptions& options) {
  Dispatcher dispatcher(device_map, options);
  dispatcher.plan(model);
  dispatcher.carry_out();
}

void dispatch_model(std::shared_ptr<torch::nn::Module> model, const DeviceMap& device_map,
                    const DispatchOptions& options) {
  dispatch_model(ModelTree(std::move(model)), device_map, options);
}

void dispatch_model(const PeftModel& model, const DeviceMap& device_map,
                    const DispatchOptions& options) {
  dispatch_model(model.tuner().tree(), device_map, options);
}

void remove_offload(const ModelTree& model) {
  const at::NoGradGuard no_grad;
  for (const auto& [name, tensor] : model.parameters()) bring_back(tensor);
}

void remove_offload(std::shared_ptr<torch::nn::Module> model) {
  remove_offload(ModelTree(std::move(model)));
}

void remove_offload(const PeftModel& model) { remove_offload(model.tuner().tree()); }

}  // namespace peft
