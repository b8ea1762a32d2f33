#include "peft/status.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

#include "peft/base/error.h"

namespace peft {
namespace {

constexpr const char* kTree = "model.";  // the tuner's child that the base is, in Python

// In Python what lies below a targeted module has its wrapper in its name.
std::string wrapped_name(const std::string& name, const std::unordered_set<std::string>& targeted) {
  std::string wrapped = kTree;
  size_t begin = 0;
  for (size_t dot = name.find('.'); dot != std::string::npos; dot = name.find('.', begin)) {
    wrapped.append(name, begin, dot - begin);
    if (targeted.contains(name.substr(0, dot))) wrapped += ".base_layer";
    wrapped += '.';
    begin = dot + 1;
  }
  return wrapped + name.substr(begin);
}

std::string class_of(const Site& site) {
  if (site.by_parameter) return "ParamWrapper";
  switch (site.kind) {
    case SiteKind::kEmbedding:
      return "Embedding";
    case SiteKind::kConvolution:
      return "Conv" + std::to_string(site.weight_shape.size() - 2) + "d";
    case SiteKind::kAttentionInput:
      return "MultiheadAttention";
    default:
      return "Linear";
  }
}

std::string module_type(const Attachment& attachment) {
  if (attachment.beside) return "TrainableTokensLayer";
  std::string name(attachment.method->name);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
  return name + "." + class_of(attachment.found.site);
}

// LORA -> LoraModel: how Python calls its tuners.
std::string tuner_class(const Tuner& tuner) {
  if (tuner.is_mixed()) return "MixedModel";
  std::string name(tuner.method().name);
  std::transform(name.begin() + 1, name.end(), name.begin() + 1,
                 [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
  return name + "Model";
}

template <typename T>
T* find(ByAdapter<T>& values, const std::string& adapter) {
  for (auto& [name, value] : values) {
    if (name == adapter) return &value;
  }
  return nullptr;
}

// Two opinions about one value.
OrIrregular<bool> both(const OrIrregular<bool>& a, const OrIrregular<bool>& b) {
  return a == b ? a : OrIrregular<bool>(Irregular{});
}

void add_tensors(TunerLayerStatus& status, const AdapterSlots& slots, const std::string& adapter) {
  std::set<std::string> devices;
  std::optional<OrIrregular<bool>> learns;
  for (const SlotTensor& slot : slots.tensors(adapter)) {
    if (slot.is_buffer) continue;
    devices.insert(c10::DeviceTypeName(slot.tensor.device().type(), true));
    const OrIrregular<bool> own = slot.tensor.requires_grad();
    learns = learns ? both(*learns, own) : own;
  }
  if (learns) status.requires_grad.emplace_back(adapter, *learns);
  status.devices.emplace_back(adapter, std::vector<std::string>(devices.begin(), devices.end()));
  status.available_adapters.push_back(adapter);
}

TunerLayerStatus status_of(const Attachment& attachment, const Tuner& tuner,
                           const std::unordered_set<std::string>& targeted) {
  const TunerLayer& layer = *attachment.layer;
  const Site& site = layer.site();
  TunerLayerStatus status{
      .name = join_name(wrapped_name(site.module_name, targeted), site.slot_path),
      .module_type = module_type(attachment),
      .enabled = layer.enabled(),
      .active_adapters = layer.active_adapters(),
      .merged_adapters = layer.merged_adapters()};
  for (const auto& [adapter, config] : tuner.configs()) {
    if (layer.has(adapter)) add_tensors(status, layer.slots(), adapter);
  }
  return status;
}

TunerLayerStatus status_of(const SavedModule& saved, const Tuner& tuner,
                           const std::unordered_set<std::string>& targeted) {
  TunerLayerStatus status{.name = wrapped_name(saved.module().name, targeted),
                          .module_type = "ModulesToSaveWrapper",
                          .enabled = saved.enabled()};
  if (!saved.active().empty()) status.active_adapters = {saved.active()};
  for (const auto& [adapter, config] : tuner.configs()) {
    if (saved.has(adapter)) add_tensors(status, saved.slots(), adapter);
  }
  return status;
}

// An adapter that is merged in one layer has to be merged wherever it is.
OrIrregular<std::vector<std::string>> merged_everywhere(
    const std::vector<TunerLayerStatus>& layers) {
  std::set<std::string> merged;
  for (const auto& layer : layers) {
    merged.insert(layer.merged_adapters.begin(), layer.merged_adapters.end());
  }
  for (const auto& layer : layers) {
    for (const std::string& adapter : layer.available_adapters) {
      const auto& own = layer.merged_adapters;
      const bool here = std::find(own.begin(), own.end(), adapter) != own.end();
      if (!here && merged.contains(adapter)) return Irregular{};
    }
  }
  return std::vector<std::string>(merged.begin(), merged.end());
}

// The value that all layers have.
template <typename T>
OrIrregular<T> agreed(const std::vector<TunerLayerStatus>& layers, T TunerLayerStatus::*member) {
  const T& first = layers.front().*member;
  const bool all = std::all_of(layers.begin(), layers.end(),
                               [&](const auto& layer) { return layer.*member == first; });
  return all ? OrIrregular<T>(first) : OrIrregular<T>(Irregular{});
}

void collect_by_adapter(TunerModelStatus& status, const std::vector<TunerLayerStatus>& layers) {
  std::set<std::string> available;
  for (const auto& layer : layers) {
    available.insert(layer.available_adapters.begin(), layer.available_adapters.end());
    for (const auto& [adapter, learns] : layer.requires_grad) {
      auto* known = find(status.requires_grad, adapter);
      if (known == nullptr) status.requires_grad.emplace_back(adapter, learns);
      if (known != nullptr) *known = both(*known, learns);
    }
    for (const auto& [adapter, devices] : layer.devices) {
      auto* known = find(status.devices, adapter);
      if (known == nullptr) {
        status.devices.emplace_back(adapter, devices);
        continue;
      }
      std::set<std::string> all(known->begin(), known->end());
      all.insert(devices.begin(), devices.end());
      known->assign(all.begin(), all.end());
    }
  }
  status.available_adapters.assign(available.begin(), available.end());
}

template <typename T>
Json value_to_json(const T& value) {
  return value;
}
Json value_to_json(const std::optional<std::string>& value) {
  return value ? Json(*value) : Json(nullptr);
}
template <typename T>
Json value_to_json(const OrIrregular<T>& value) {
  return is_irregular(value) ? Json("irregular") : value_to_json(std::get<T>(value));
}
template <typename T>
Json by_adapter_to_json(const ByAdapter<T>& values) {
  Json object = Json::object();
  for (const auto& [adapter, value] : values) object[adapter] = value_to_json(value);
  return object;
}

}  // namespace

// Layers that are stacked again hold tensors of their own in one memory, which counts once.
ParameterCount count_parameters(const ModelTree& tree) {
  ParameterCount count;
  std::set<std::tuple<const void*, std::vector<int64_t>, std::vector<int64_t>>> seen;
  for (const auto& [name, tensor] : tree.parameters()) {
    const void* memory = tensor.has_storage() ? tensor.data_ptr() : nullptr;
    const bool counts = memory == nullptr ||
                        seen.emplace(memory, tensor.sizes().vec(), tensor.strides().vec()).second;
    if (!counts) continue;
    count.all += tensor.numel();
    if (tensor.requires_grad()) count.trainable += tensor.numel();
  }
  return count;
}

std::vector<TunerLayerStatus> get_layer_status(const Tuner& tuner) {
  if (tuner.attachments().empty() && tuner.saved_modules().empty()) {
    throw ConfigError(
        "get_layer_status: no adapter layers found in the model: expected a model with an adapter, "
        "got one without. Add or load an adapter first.");
  }
  std::unordered_set<std::string> targeted;
  for (const std::string& name : tuner.targeted_modules()) targeted.insert(name);
  std::multimap<size_t, TunerLayerStatus> in_order;  // by the place of the module in the tree
  std::unordered_map<std::string, size_t> places;
  for (const ModuleEntry& module : tuner.tree().modules()) {
    places.emplace(module.name, places.size());
  }
  const auto place = [&](const std::string& module) {
    const auto found = places.find(module);
    return found == places.end() ? places.size() : found->second;
  };
  for (const Attachment& attachment : tuner.attachments()) {
    in_order.emplace(place(attachment.found.site.module_name),
                     status_of(attachment, tuner, targeted));
  }
  for (const auto& saved : tuner.saved_modules()) {
    in_order.emplace(place(saved->module().name), status_of(*saved, tuner, targeted));
  }
  std::vector<TunerLayerStatus> layers;
  for (auto& [where, status] : in_order) {
    std::sort(status.available_adapters.begin(), status.available_adapters.end());
    layers.push_back(std::move(status));
  }
  return layers;
}

TunerModelStatus get_model_status(const Tuner& tuner) {
  const auto layers = get_layer_status(tuner);
  const ParameterCount count = count_parameters(tuner.tree());
  TunerModelStatus status{
      .base_model_type = tuner.tree().class_name(),
      .adapter_model_type = tuner_class(tuner),
      .trainable_params = count.trainable,
      .total_params = count.all,
      .num_adapter_layers = static_cast<int64_t>(layers.size()),
      .enabled = agreed(layers, &TunerLayerStatus::enabled),
      .active_adapters = agreed(layers, &TunerLayerStatus::active_adapters),
      .merged_adapters = merged_everywhere(layers),
      .quantization_backend = agreed(layers, &TunerLayerStatus::quantization_backend)};
  for (const auto& [adapter, config] : tuner.configs()) {
    status.peft_types.emplace_back(adapter, config.peft_type());
  }
  collect_by_adapter(status, layers);
  return status;
}

bool is_irregularly_enabled(const Tuner& tuner) {
  size_t on = 0, all = 0;
  for (const Attachment& attachment : tuner.attachments()) {
    on += attachment.layer->enabled() ? 1 : 0;
    ++all;
  }
  for (const auto& saved : tuner.saved_modules()) {
    on += saved->enabled() ? 1 : 0;
    ++all;
  }
  return on != 0 && on != all;
}

Json to_json(const TunerLayerStatus& status) {
  return {{"name", status.name},
          {"module_type", status.module_type},
          {"enabled", status.enabled},
          {"active_adapters", status.active_adapters},
          {"merged_adapters", status.merged_adapters},
          {"requires_grad", by_adapter_to_json(status.requires_grad)},
          {"available_adapters", status.available_adapters},
          {"devices", by_adapter_to_json(status.devices)},
          {"quantization_backend", value_to_json(status.quantization_backend)}};
}

Json to_json(const TunerModelStatus& status) {
  return {{"base_model_type", status.base_model_type},
          {"adapter_model_type", status.adapter_model_type},
          {"peft_types", by_adapter_to_json(status.peft_types)},
          {"trainable_params", status.trainable_params},
          {"total_params", status.total_params},
          {"num_adapter_layers", status.num_adapter_layers},
          {"enabled", value_to_json(status.enabled)},
          {"active_adapters", value_to_json(status.active_adapters)},
          {"merged_adapters", value_to_json(status.merged_adapters)},
          {"requires_grad", by_adapter_to_json(status.requires_grad)},
          {"available_adapters", status.available_adapters},
          {"devices", by_adapter_to_json(status.devices)},
          {"quantization_backend", value_to_json(status.quantization_backend)}};
}

}  // namespace peft
