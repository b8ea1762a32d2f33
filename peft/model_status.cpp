#include <algorithm>
#include <cctype>
#include <set>
#include <utility>

#include "peft/adapter/memory.h"
#include "peft/status.h"

namespace peft {
namespace {

// LORA -> LoraModel: how Python calls its tuners.
std::string tuner_class(const Tuner& tuner) {
  if (tuner.is_mixed()) return "MixedModel";
  std::string name(tuner.method().name);
  std::transform(name.begin() + 1, name.end(), name.begin() + 1,
                 [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
  return name + "Model";
}

// The value of an adapter, which mostly stands where it stood in the layer.
template <typename T>
T* value_of(ByAdapter<T>& values, const std::string& adapter, size_t guess) {
  if (guess < values.size() && values[guess].first == adapter) return &values[guess].second;
  for (auto& [name, value] : values) {
    if (name == adapter) return &value;
  }
  return nullptr;
}

// Two opinions about one value.
OrIrregular<bool> both(const OrIrregular<bool>& a, const OrIrregular<bool>& b) {
  return a == b ? a : OrIrregular<bool>(Irregular{});
}

// An adapter that is merged in one layer has to be merged wherever it is.
OrIrregular<std::vector<std::string>> merged_everywhere(
    const std::vector<TunerLayerStatus>& layers) {
  std::set<std::string> merged;
  for (const auto& layer : layers) {
    merged.insert(layer.merged_adapters.begin(), layer.merged_adapters.end());
  }
  if (merged.empty()) return std::vector<std::string>{};
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

void add_learning(TunerModelStatus& status, const TunerLayerStatus& layer) {
  for (size_t i = 0; i < layer.requires_grad.size(); ++i) {
    const auto& [adapter, learns] = layer.requires_grad[i];
    auto* known = value_of(status.requires_grad, adapter, i);
    if (known == nullptr) status.requires_grad.emplace_back(adapter, learns);
    if (known != nullptr) *known = both(*known, learns);
  }
}

void add_devices(TunerModelStatus& status, const TunerLayerStatus& layer) {
  for (size_t i = 0; i < layer.devices.size(); ++i) {
    const auto& [adapter, devices] = layer.devices[i];
    auto* known = value_of(status.devices, adapter, i);
    if (known == nullptr) status.devices.emplace_back(adapter, devices);
    if (known == nullptr || *known == devices) continue;
    std::set<std::string> all(known->begin(), known->end());
    all.insert(devices.begin(), devices.end());
    known->assign(all.begin(), all.end());
  }
}

void collect_by_adapter(TunerModelStatus& status, const std::vector<TunerLayerStatus>& layers) {
  std::set<std::string> available;
  const std::vector<std::string>* former = nullptr;
  for (const auto& layer : layers) {
    add_learning(status, layer);
    add_devices(status, layer);
    if (former == nullptr || *former != layer.available_adapters) {
      available.insert(layer.available_adapters.begin(), layer.available_adapters.end());
    }
    former = &layer.available_adapters;
  }
  status.available_adapters.assign(available.begin(), available.end());
}

// Layers that are stacked again hold tensors of their own in one memory, which counts once.
void count_base(const std::vector<at::Tensor>& tensors, ParameterCount& count) {
  std::vector<std::pair<Memory, size_t>> by_memory;
  by_memory.reserve(tensors.size());
  for (const at::Tensor& tensor : tensors) {
    const Memory memory =
        tensor.has_storage() ? memory_of(tensor) : Memory(tensor.unsafeGetTensorImpl(), 0);
    by_memory.emplace_back(memory, by_memory.size());
  }
  std::sort(by_memory.begin(), by_memory.end());
  for (size_t i = 0; i < by_memory.size(); ++i) {
    const at::Tensor& tensor = tensors[by_memory[i].second];
    bool counted = false;
    for (size_t j = i; j > 0 && by_memory[j - 1].first == by_memory[i].first && !counted; --j) {
      const at::Tensor& other = tensors[by_memory[j - 1].second];
      counted = other.sizes() == tensor.sizes() && other.strides() == tensor.strides();
    }
    if (counted) continue;
    count.all += tensor.numel();
    if (tensor.requires_grad()) count.trainable += tensor.numel();
  }
}

// A copy that tied modules have in common counts once.
void count_adapters(std::vector<const c10::TensorImpl*> tensors, ParameterCount& count) {
  std::sort(tensors.begin(), tensors.end());
  tensors.erase(std::unique(tensors.begin(), tensors.end()), tensors.end());
  for (const c10::TensorImpl* tensor : tensors) {
    count.all += tensor->numel();
    if (tensor->requires_grad()) count.trainable += tensor->numel();
  }
}

}  // namespace

ParameterCount count_parameters(const ModelTree& tree) {
  ModelTree::Parameters parameters = tree.registered_parameters();
  ParameterCount count;
  count_base(parameters.base, count);
  count_adapters(std::move(parameters.adapters), count);
  return count;
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

}  // namespace peft
