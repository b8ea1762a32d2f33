// Tuner: fills adapters and the base from tensors under the keys of Python's files.

#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "peft/adapter/file_names.h"
#include "peft/adapter/meta_parameters.h"
#include "peft/adapter/tuner.h"
#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/base/warnings.h"

namespace peft {
namespace {

struct Copy {
  at::Tensor target, source;
};

// Where the parameters without values belong: to the weight that they adapt.
using Homes = std::unordered_map<const c10::TensorImpl*, at::Device>;

Homes homes_of_unfilled(const Tuner& tuner, const std::string& adapter) {
  Homes homes;
  const auto add = [&](const AdapterSlots& slots, const at::Tensor& weight) {
    for (const SlotTensor& slot : slots.tensors(adapter)) {
      if (slot.tensor.is_meta()) {
        homes.emplace(slot.tensor.unsafeGetTensorImpl(), base(weight).device());
      }
    }
  };
  for (const Attachment& attachment : tuner.attachments()) {
    add(attachment.layer->slots(), attachment.found.weight);
  }
  for (const auto& saved : tuner.saved_modules()) {
    if (!saved->members().empty()) add(saved->slots(), saved->members().front().base);
  }
  return homes;
}

// Every source was checked before: nothing fails from here on.
void write_copies(const std::vector<Copy>& copies, const Homes& homes) {
  at::NoGradGuard no_grad;
  for (const Copy& copy : copies) {
    const auto home = homes.find(copy.target.unsafeGetTensorImpl());
    if (home != homes.end()) {
      adopt_values(copy.target, copy.source, home->second);
    } else {
      copy.target.detach().copy_(copy.source);
    }
  }
}

void check_filled(const std::string& adapter, const std::vector<Copy>& copies, const Homes& homes) {
  std::unordered_set<const c10::TensorImpl*> filled;
  for (const Copy& copy : copies) filled.insert(copy.target.unsafeGetTensorImpl());
  size_t left = 0;
  for (const auto& [tensor, device] : homes) left += filled.contains(tensor) ? 0 : 1;
  if (left == 0) return;
  throw MismatchError("adapter '" + adapter + "': " + std::to_string(left) +
                      " of its tensors have no values yet: expected the file to have them all, as "
                      "low_cpu_mem_usage creates none. Load without it.");
}

void warn_of_other_shapes(const LoadResult& result) {
  if (result.mismatched.empty()) return;
  LoadResult shapes;
  shapes.mismatched = result.mismatched;
  shapes.matched = result.matched;
  warn(
      "Some weights were not initialized from the model checkpoint and are being ignored because "
      "you passed `ignore_mismatched_sizes=True`: " +
      shapes.report() + ".");
}

[[noreturn]] void throw_incomplete(const std::string& adapter, const LoadResult& result) {
  const bool never = result.matched.empty();
  throw MismatchError(
      "adapter '" + adapter + "': the file fits the model " + (never ? "nowhere" : "in part only") +
      ": expected the same keys on both sides, got other ones (" + result.report() +
      "). Check that adapter_config.json and the base model belong to the file, or set strict to "
      "false to load what fits.");
}

[[noreturn]] void throw_other_shape(const std::string& adapter, const std::string& name,
                                    const std::vector<int64_t>& expected,
                                    const std::vector<int64_t>& got) {
  throw MismatchError("adapter '" + adapter + "': tensor '" + name + "': expected shape " +
                      shape_text(expected) + ", got " + shape_text(got) +
                      ". The adapter was made for another model or with another rank: "
                      "compare its adapter_config.json with the model.");
}

std::vector<PromptPlace> places_of(BasePromptEncoder* prompt) {
  return prompt == nullptr ? std::vector<PromptPlace>{} : prompt->places();
}

const PromptPlace* find_place(const std::vector<PromptPlace>& places, const std::string& name) {
  for (const PromptPlace& place : places) {
    if (place.name == name) return &place;
  }
  return nullptr;
}

// The rows of a file's tensor for each of the parameters that they fill.
void take_rows(const PromptPlace& place, const at::Tensor& tensor, const std::string& adapter,
               const LoadStateOptions& options, std::vector<Copy>& copies, LoadResult& result) {
  if (!place.obstacle.empty()) {
    throw UnsupportedError("adapter '" + adapter + "': " + place.obstacle);
  }
  const std::vector<int64_t> shape = place.shape();
  if (tensor.sizes() != at::IntArrayRef(shape)) {
    if (!options.ignore_mismatched_sizes) {
      throw_other_shape(adapter, place.name, shape, tensor.sizes().vec());
    }
    result.mismatched.push_back({place.name, tensor.sizes().vec(), shape});
    return;
  }
  int64_t row = 0;
  for (const at::Tensor& parameter : place.parameters) {
    copies.push_back({parameter, tensor.narrow(0, row, parameter.size(0))});
    row += parameter.size(0);
  }
  result.matched.push_back(place.name);
}

}  // namespace

LoadResult Tuner::load_state(const std::string& adapter, const StateDict& tensors,
                             const LoadStateOptions& options) {
  config(adapter);
  std::map<std::string, at::Tensor> own, others;
  std::vector<std::string> own_keys;
  for (auto& [key, tensor] : adapter_tensors(adapter)) {
    own_keys.push_back(key);
    own.emplace(key, tensor);
  }
  const FileNames file_name(*this);
  for (const auto& [name, tensor] : base_state()) others.emplace(file_name(name), tensor);
  const auto places = places_of(prompts_.find(adapter));
  for (const PromptPlace& place : places) own_keys.push_back(place.name);
  LoadResult result;
  std::vector<Copy> copies;
  std::set<std::string> seen;
  const std::string prefix = file_prefix();
  for (const auto& [name, tensor] : tensors) {
    if (const PromptPlace* place = find_place(places, name)) {
      seen.insert(name);
      take_rows(*place, tensor, adapter, options, copies, result);
      continue;
    }
    const std::string key = name.starts_with(prefix) ? name : prefix + name;
    auto found = own.find(key);
    if (found == own.end() && (found = others.find(key)) == others.end()) {
      result.unexpected.push_back(name);
      continue;
    }
    seen.insert(key);
    if (found->second.sizes() == tensor.sizes()) {
      copies.push_back({found->second, tensor});
      result.matched.push_back(name);
    } else if (options.ignore_mismatched_sizes) {
      result.mismatched.push_back({name, tensor.sizes().vec(), found->second.sizes().vec()});
    } else {
      throw_other_shape(adapter, name, found->second.sizes().vec(), tensor.sizes().vec());
    }
  }
  for (const std::string& key : own_keys) {
    if (!seen.contains(key)) result.missing.push_back(key);
  }
  if (options.strict && !result.complete()) throw_incomplete(adapter, result);
  const Homes homes = homes_of_unfilled(*this, adapter);
  check_filled(adapter, copies, homes);
  write_copies(copies, homes);
  if (!homes.empty()) tie_again(adapter);
  warn_of_other_shapes(result);
  return result;
}

StateDict Tuner::base_state() const {
  StateDict state;
  for (const ModuleEntry& module : tree_.modules_with_duplicates()) {
    for (const auto& [name, tensor] : own_parameters(module)) {
      state.set(join_name(module.name, name), base(tensor).detach());
    }
    for (const auto& [name, tensor] : own_buffers(module)) {
      state.set(join_name(module.name, name), base(tensor).detach());
    }
  }
  return state;
}

LoadResult Tuner::load_base_state(const StateDict& tensors, bool strict) {
  if (merged()) {
    throw ConfigError(
        "set_base_model_state_dict: adapters are merged: expected a model whose base weights are "
        "its own, got ones with adapters folded in, which unmerging would put back over the new "
        "ones. Call unmerge_adapter first.");
  }
  LoadResult result;
  std::vector<Copy> copies;
  const StateDict own = base_state();
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor* target = own.find(name);
    if (target == nullptr) {
      result.unexpected.push_back(name);
      continue;
    }
    if (target->sizes() != tensor.sizes()) {
      throw MismatchError("base model: tensor '" + name + "': expected shape " +
                          shape_text(target->sizes().vec()) + ", got " +
                          shape_text(tensor.sizes().vec()) + ". Nothing was loaded.");
    }
    copies.push_back({*target, tensor});
    result.matched.push_back(name);
  }
  for (const auto& [name, tensor] : own) {
    if (!tensors.contains(name)) result.missing.push_back(name);
  }
  if (strict && !result.complete()) {
    throw MismatchError("base model: expected the same keys on both sides, got other ones (" +
                        result.report() +
                        "). Give the names without adapters, or set strict to false.");
  }
  write_copies(copies, {});
  return result;
}

}  // namespace peft
