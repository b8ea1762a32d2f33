#include "peft/functional.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "peft/adapter/file_prefix.h"
#include "peft/adapter_folder.h"
#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/base/warnings.h"
#include "peft/methods/registry.h"

namespace peft {
namespace {

std::string escaped(const std::string& name) {
  std::string pattern;
  for (const char letter : name) {
    if (std::string_view(".\\+*?()[]{}|^$").find(letter) != std::string_view::npos) pattern += '\\';
    pattern += letter;
  }
  return pattern;
}

// The modules whose adapters are among the keys, as a pattern that reaches no other.
TargetModules targets_of(const StateDict& tensors, std::string_view key_prefix) {
  std::vector<std::string> names;
  for (const auto& [key, tensor] : tensors) {
    const std::string name = without_file_prefix(key);
    const size_t slot = name.find("." + std::string(key_prefix));
    if (slot == std::string::npos) continue;
    std::string module = escaped(name.substr(0, slot));
    if (std::find(names.begin(), names.end(), module) == names.end()) {
      names.push_back(std::move(module));
    }
  }
  if (!names.empty()) return join(names, "|");
  throw ConfigError("state_dict: expected keys with a part that begins with '" +
                    std::string(key_prefix) + "', got none. Leave it out to use the config.");
}

void inject(Tuner& tuner, PeftConfig config, const InjectAdapterOptions& options) {
  const InjectOptions inject_options{.autocast_adapter_dtype = false,
                                     .low_cpu_mem_usage = options.low_cpu_mem_usage};
  TargetModules* targets = config.shared().target_modules;
  if (options.state_dict == nullptr || targets == nullptr) {
    return tuner.inject(options.adapter_name, std::move(config), inject_options);
  }
  const auto* parameters = config.shared().target_parameters;
  if (parameters != nullptr && *parameters && !(*parameters)->empty()) {
    throw ConfigError(
        "inject_adapter_in_model: state_dict: expected a config without target_parameters, which a "
        "state_dict cannot replace, got " +
        join_names(**parameters) + ". Leave the state_dict out.");
  }
  const TargetModules given = *targets;
  *targets = targets_of(*options.state_dict, tuner.method().key_prefix);
  tuner.inject(options.adapter_name, std::move(config), inject_options);
  *tuner.config(options.adapter_name).shared().target_modules = given;
}

void warn_of_other_keys(const StateDict& own, const StateDict& given) {
  std::vector<std::string> missing, unexpected;
  for (const auto& [key, tensor] : given) {
    if (!own.contains(without_file_prefix(key))) unexpected.push_back(key);
  }
  for (const auto& [key, tensor] : own) {
    if (!given.contains(key) && !given.contains(kFilePrefix + key)) {
      missing.push_back(key);
    }
  }
  if (missing.empty() && unexpected.empty()) return;
  LoadResult result{.missing = missing, .unexpected = unexpected};
  warn(
      "While injecting the PEFT adapters, an inconsistency was discovered between the PEFT config "
      "and the provided state_dict: " +
      result.report() + ".");
}

}  // namespace

InjectedAdapters inject_adapter_in_model(PeftConfig config, ModelTree model,
                                         const InjectAdapterOptions& options) {
  const Method& method = find_method(config.peft_type());
  if (method.is_prompt_learning() || method.attention) {
    throw UnsupportedError(
        "inject_adapter_in_model: it does not serve prompts: expected a method "
        "that adapts weights, got " +
        std::string(method.name) + ". Use PeftModelForCausalLM.");
  }
  const InjectedAdapters adapters(std::make_shared<Tuner>(std::move(model), ModelFacts{}, method));
  inject_adapter_in_model(std::move(config), adapters, options);
  return adapters;
}

void inject_adapter_in_model(PeftConfig config, const InjectedAdapters& adapters,
                             const InjectAdapterOptions& options) {
  inject(adapters.tuner(), std::move(config), options);
  if (options.state_dict == nullptr) return;
  warn_of_other_keys(get_peft_model_state_dict(adapters, options.adapter_name),
                     *options.state_dict);
}

void set_adapter(const InjectedAdapters& adapters, const AdapterNames& names, bool inference_mode) {
  adapters.tuner().set_active(names.list(), inference_mode);
}

void set_requires_grad(const InjectedAdapters& adapters, const AdapterNames& names,
                       bool requires_grad) {
  for (const std::string& name : names.list()) adapters.tuner().config(name);
  for (const std::string& name : names.list()) {
    adapters.tuner().set_requires_grad(name, requires_grad);
  }
}

void delete_adapter(const InjectedAdapters& adapters, const std::string& name) {
  adapters.tuner().remove({name});
}

void cast_adapter_dtype(const InjectedAdapters& adapters, const std::string& name,
                        bool autocast_adapter_dtype) {
  adapters.tuner().config(name);
  if (!autocast_adapter_dtype) return;
  const auto cast = [&](const AdapterSlots& slots) {
    for (const SlotTensor& slot : slots.tensors(name)) {
      if (!at::isReducedFloatingType(slot.tensor.scalar_type())) continue;
      slot.tensor.set_data(slot.tensor.detach().to(at::kFloat));
      slot.tensor.mutable_grad().reset();
    }
  };
  for (const Attachment& attachment : adapters.tuner().attachments()) {
    cast(attachment.layer->slots());
  }
  for (const auto& saved : adapters.tuner().saved_modules()) cast(saved->slots());
}

StateDict get_peft_model_state_dict(const PeftModel& model, const std::string& adapter_name,
                                    SaveEmbeddingLayers save_embedding_layers) {
  return model.state_dict(adapter_name, save_embedding_layers);
}

StateDict get_peft_model_state_dict(const InjectedAdapters& adapters,
                                    const std::string& adapter_name,
                                    SaveEmbeddingLayers save_embedding_layers) {
  adapters.tuner().verify();
  StateDict state;
  for (const auto& [key, tensor] :
       adapter_state(adapters.tuner(), adapter_name, save_embedding_layers)) {
    state.set(without_file_prefix(key), tensor);
  }
  return state;
}

LoadResult set_peft_model_state_dict(PeftModel& model, const StateDict& tensors,
                                     const std::string& adapter_name,
                                     const LoadStateOptions& options) {
  return model.load_state_dict(tensors, adapter_name, options);
}

LoadResult set_peft_model_state_dict(const InjectedAdapters& adapters, const StateDict& tensors,
                                     const std::string& adapter_name,
                                     const LoadStateOptions& options) {
  LoadResult result = adapters.tuner().load_state(adapter_name, tensors, options);
  for (std::string& key : result.missing) key = without_file_prefix(key);
  return result;
}

StateDict get_base_model_state_dict(const PeftModel& model) {
  model.tuner().verify();
  return model.tuner().base_state();
}

LoadResult set_base_model_state_dict(PeftModel& model, const StateDict& tensors, bool strict) {
  model.tuner().verify();
  return model.tuner().load_base_state(tensors, strict);
}

StateDict load_peft_weights(const std::filesystem::path& name_or_folder,
                            const AdapterSource& source) {
  return read_adapter_weights(adapter_place(name_or_folder, source), source);
}

}  // namespace peft
