#include "peft/methods/lora/variants/losses.h"

#include <ATen/ATen.h>

#include "peft/methods/lora/layer.h"
#include "peft/methods/lora/variants/kasa.h"
#include "peft/methods/lora/variants/monteclora.h"

namespace peft::lora {
namespace {

// Calls `take` with every active adapter's variant of one kind.
template <typename Variant, typename Take>
void for_each_active(const Tuner& tuner, Take take) {
  for (const Attachment& attachment : tuner.attachments()) {
    const auto* layer = dynamic_cast<const LoraLayer*>(attachment.layer.get());
    if (layer == nullptr) continue;
    for (const std::string& name : tuner.active_adapters()) {
      if (!layer->has(name)) continue;
      const LoraAdapter& adapter = layer->adapter(name);
      const auto* variant = dynamic_cast<const Variant*>(adapter.variant.get());
      if (variant != nullptr) take(*layer, adapter, *variant);
    }
  }
}

}  // namespace

at::Tensor kasa_loss(const Tuner& tuner) {
  at::Tensor sum = at::zeros({});
  for_each_active<KasaVariant>(
      tuner, [&](const LoraLayer&, const LoraAdapter& adapter, const KasaVariant& variant) {
        sum = sum + variant.loss(adapter);
      });
  return sum;
}

at::Tensor monteclora_loss(const Tuner& tuner) {
  at::Tensor sum = at::zeros({});
  int64_t count = 0;
  for_each_active<MontecloraVariant>(
      tuner, [&](const LoraLayer& layer, const LoraAdapter&, const MontecloraVariant& variant) {
        if (layer.slots().training()) sum = sum + variant.loss();
        ++count;
      });
  return count == 0 ? sum : sum / count;
}

}  // namespace peft::lora
