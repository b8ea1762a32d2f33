#include "cli/status_table.h"

#include <fmt/core.h>

#include "peft/base/table.h"
#include "peft/base/text.h"

namespace peft::cli {

namespace {

std::string words(bool value) { return value ? "yes" : "no"; }
std::string words(const std::vector<std::string>& names) {
  return names.empty() ? "none" : join(names, ", ");
}
std::string words(const std::optional<std::string>& name) { return name.value_or("none"); }
std::string words(const std::string& name) { return name; }

template <typename T>
std::string words(const OrIrregular<T>& value) {
  return is_irregular(value) ? "irregular" : words(std::get<T>(value));
}

template <typename T>
std::string words(const ByAdapter<T>& values) {
  std::vector<std::string> parts;
  for (const auto& [adapter, value] : values) parts.push_back(adapter + ": " + words(value));
  return join(parts, ", ");
}

}  // namespace

std::string describe_status(const TunerModelStatus& model,
                            const std::vector<TunerLayerStatus>& layers, const Terminal& terminal) {
  Table facts({{"model"}, {""}});
  facts.add_row({"base model", model.base_model_type});
  facts.add_row({"adapter model", model.adapter_model_type});
  facts.add_row({"adapters", words(model.peft_types)});
  facts.add_row({"trainable params", with_thousands(model.trainable_params)});
  facts.add_row({"total params", with_thousands(model.total_params)});
  facts.add_row({"adapter layers", with_thousands(model.num_adapter_layers)});
  facts.add_row({"enabled", words(model.enabled)});
  facts.add_row({"active", words(model.active_adapters)});
  facts.add_row({"merged", words(model.merged_adapters)});
  facts.add_row({"requires grad", words(model.requires_grad)});
  facts.add_row({"devices", words(model.devices)});
  facts.add_row({"quantization", words(model.quantization_backend)});
  Table table({{"layer"}, {"type"}, {"enabled"}, {"active"}, {"merged"}, {"available"}});
  for (const TunerLayerStatus& layer : layers) {
    table.add_row({layer.name, layer.module_type, words(layer.enabled),
                   words(layer.active_adapters), words(layer.merged_adapters),
                   words(layer.available_adapters)});
  }
  return facts.text(terminal) + "\n" + table.text(terminal);
}

}  // namespace peft::cli
