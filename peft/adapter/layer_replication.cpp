// layer_replication: Tuner stacks the layers of a language model again before the first adapter.

#include "peft/adapter/layer_replication.h"

#include <map>

#include "peft/adapter/memory.h"
#include "peft/adapter/tuner.h"
#include "peft/base/error.h"
#include "peft/base/json_text.h"

namespace peft {
namespace {

std::string in_one_line(const Json& field) { return dump_json(field, {.indent = std::nullopt}); }

}  // namespace

std::vector<std::pair<int64_t, int64_t>> parse_layer_ranges(const Json& field) {
  if (field.is_null()) return {};
  std::vector<std::pair<int64_t, int64_t>> ranges;
  bool fits = field.is_array();
  for (const Json& range : fits ? field : Json::array()) {
    fits = fits && range.is_array() && range.size() == 2 && range[0].is_number_integer() &&
           range[1].is_number_integer();
    if (fits) ranges.emplace_back(range[0].get<int64_t>(), range[1].get<int64_t>());
  }
  if (fits) return ranges;
  throw ConfigError(
      "layer_replication: expected ranges of layers, as [[0, 4], [2, 5]], or null, got " +
      in_one_line(field) + ".");
}

std::function<void()> Tuner::stack_layers(const SharedFields& fields) {
  if (fields.layer_replication == nullptr) return {};
  const auto ranges = parse_layer_ranges(*fields.layer_replication);
  if (ranges.empty() || *fields.layer_replication == stacked_) return {};
  if (!stacked_.is_null() || !attachments_.empty() || !saved_.empty()) {
    throw ConfigError("layer_replication: the model has adapters: expected " +
                      (stacked_.is_null() ? "null" : in_one_line(stacked_)) +
                      ", as the first adapter left its layers, got " +
                      in_one_line(*fields.layer_replication) + ". Use a model of its own.");
  }
  if (!facts_.replicate_layers) {
    throw UnsupportedError(
        "layer_replication: could not locate the layers of the model: expected a language model of "
        "this library, got " +
        tree_.class_name() + ". Stack the layers in the model itself.");
  }
  auto put_back = facts_.replicate_layers(ranges);
  stacked_ = *fields.layer_replication;
  return put_back;
}

void Tuner::unstack_layers(const std::function<void()>& unstack) {
  if (!unstack) return;
  unstack();
  stacked_ = nullptr;
}

void Tuner::check_unshared(const std::vector<const Attachment*>& written) const {
  std::map<Memory, const Attachment*> by_memory;
  for (const Attachment* attachment : written) {
    by_memory.emplace(memory_of(attachment->found.weight), attachment);
  }
  by_memory.erase(Memory());
  for (const ModuleEntry& module : tree_.modules()) {
    for (const auto& [name, tensor] : own_parameters(module)) {
      const auto found = by_memory.find(memory_of(tensor));
      if (found == by_memory.end() || found->second->found.weight.is_same(tensor)) continue;
      throw UnsupportedError("merge: " + found->second->layer->parameter_name() +
                             ": its memory is that of " + join_name(module.name, name) +
                             " too, as layer_replication makes it: expected a weight of its own. "
                             "Cannot merge LoRA layers when base model layers are replicated.");
    }
  }
}

}  // namespace peft
