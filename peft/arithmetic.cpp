#include "peft/arithmetic.h"

#include "peft/adapter_folder.h"
#include "peft/base/error.h"
#include "peft/methods/lora/hotswap.h"
#include "peft/methods/lora/layer.h"

namespace peft {
namespace {

void check_lora(const PeftModel& model, const std::string& what) {
  if (model.peft_type() == "LORA") return;
  throw UnsupportedError(what + ": expected adapters of LORA, got " + model.peft_type() + ".");
}

}  // namespace

RescaledAdapters::RescaledAdapters(std::shared_ptr<Tuner> tuner, double multiplier) {
  for (Attachment& attachment : tuner->attachments()) {
    auto* layer = dynamic_cast<lora::LoraLayer*>(attachment.layer.get());
    if (layer == nullptr) continue;
    for (const auto& [adapter, config] : tuner->configs()) {
      if (!layer->has(adapter)) continue;
      const double scaling = layer->adapter(adapter).scaling;
      former_.push_back({.layer = attachment.layer, .adapter = adapter, .scaling = scaling});
      layer->set_scaling(adapter, scaling * multiplier);
    }
  }
  if (!former_.empty()) return;
  throw ConfigError(
      "rescale_adapter_scale: scaling is only supported for models with LoRA layers: expected one, "
      "got none. Add an adapter first.");
}

RescaledAdapters::~RescaledAdapters() {
  for (const Former& former : former_) {
    auto* layer = dynamic_cast<lora::LoraLayer*>(former.layer.get());
    if (layer->has(former.adapter)) layer->set_scaling(former.adapter, former.scaling);
  }
}

RescaledAdapters rescale_adapter_scale(PeftModel& model, double multiplier) {
  return RescaledAdapters(model.shared_tuner(), multiplier);
}

void hotswap_adapter(PeftModel& model, const std::filesystem::path& folder,
                     const std::string& adapter_name) {
  check_lora(model, "hotswap_adapter");
  const PeftConfig config = read_adapter_config(folder);
  lora::hotswap_adapter(model.tuner(), adapter_name, read_adapter_weights(folder),
                        config.as<LoraConfig>());
}

void prepare_model_for_compiled_hotswap(PeftModel& model, int64_t target_rank) {
  check_lora(model, "prepare_model_for_compiled_hotswap");
  lora::pad_adapters(model.tuner(), target_rank);
}

void reduce_intruder_dimension(PeftModel& model, const IntruderOptions& options) {
  check_lora(model, "reduce_intruder_dimension");
  lora::reduce_intruder_dimension(model.tuner(), options);
}

}  // namespace peft
