#include "peft/status.h"

namespace peft {
namespace {

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
