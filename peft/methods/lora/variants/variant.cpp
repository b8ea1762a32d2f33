#include "peft/methods/lora/variants/variant.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/methods/lora/init/words.h"
#include "peft/methods/lora/variants/alora.h"
#include "peft/methods/lora/variants/arrow.h"
#include "peft/methods/lora/variants/bdlora.h"
#include "peft/methods/lora/variants/dora.h"
#include "peft/methods/lora/variants/kasa.h"
#include "peft/methods/lora/variants/monteclora.h"
#include "peft/methods/lora/variants/velora.h"

namespace peft::lora {

void LoraVariant::prepare(LoraAdapter&, const VariantSetup&) {}

void LoraVariant::attach(const VariantSetup&, const at::TensorOptions&, AdapterSlots&) {}

BaseChange LoraVariant::initialise(const LoraAdapter&, const at::Tensor&) { return {}; }

at::Tensor LoraVariant::linear_alone(const LoraAdapter& adapter, const LinearCall& call) const {
  return linear(adapter, call, at::linear(call.x, call.weight, call.bias));
}

// make_variant() gives a site only what serves it, so these two are out of reach for a variant that
// is for linear layers alone.
at::Tensor LoraVariant::embedding(const LoraAdapter&, const at::Tensor&, const EmbeddingCall&,
                                  const at::Tensor&) const {
  throw UnsupportedError(
      "LoRA variant: an embedding call reached a variant for linear layers: expected a linear "
      "layer, got an embedding. Leave the embedding out of target_modules.");
}

at::Tensor LoraVariant::convolution(const LoraAdapter&, const at::Tensor&, const at::Tensor&,
                                    const std::optional<at::Tensor>&, const ConvolutionCall&,
                                    double, const at::Tensor&) const {
  throw UnsupportedError(
      "LoRA variant: a convolution reached a variant for linear layers: expected a linear layer, "
      "got a convolution. Leave the convolution out of target_modules.");
}

namespace {

// A variant in Python, which cannot be combined with others. Here it is a way of beginning.
bool begins_with_mica(const LoraConfig& config) {
  return init_kind_of_word(config.init_lora_weights.word()) == InitKind::kMica;
}

// The fields of the config that ask for a variant, sorted by name.
std::vector<std::string> requested_variants(const LoraConfig& config) {
  std::vector<std::string> names;
  const Json& tokens = config.alora_invocation_tokens;
  if (tokens.is_array() && !tokens.empty()) names.emplace_back("alora_invocation_tokens");
  if (config.arrow_config.is_object()) names.emplace_back("arrow_config");
  if (config.kasa_config.is_object()) names.emplace_back("kasa_config");
  if (begins_with_mica(config)) names.emplace_back("mica");
  if (config.monteclora_config.is_object()) names.emplace_back("monteclora_config");
  if (config.use_bdlora.is_object()) names.emplace_back("use_bdlora");
  if (config.use_dora) names.emplace_back("use_dora");
  if (config.velora_config.is_object()) names.emplace_back("velora_config");
  return names;
}

}  // namespace

std::shared_ptr<LoraVariant> make_variant(const LoraConfig& config, const Site& site) {
  const std::vector<std::string> names = requested_variants(config);
  if (names.empty() || (names.size() == 1 && begins_with_mica(config))) return nullptr;
  const bool linear = is_linear(site.kind);
  const bool scales =
      linear || site.kind == SiteKind::kEmbedding || site.kind == SiteKind::kConvolution;
  if (names.size() == 1) {
    const std::string& name = names.front();
    if (name == "use_dora" && scales)
      return std::make_shared<DoraVariant>(site, config.runtime_config.ephemeral_gpu_offload);
    if (name == "alora_invocation_tokens" && linear) {
      return std::make_shared<AloraVariant>(config, site.kind);
    }
    if (name == "arrow_config" && linear) return std::make_shared<ArrowVariant>(config);
    if (name == "kasa_config" && site.kind == SiteKind::kLinear) {
      return std::make_shared<KasaVariant>();
    }
    if (name == "monteclora_config" && linear) {
      return std::make_shared<MontecloraVariant>(config, site);
    }
    if (name == "use_bdlora" && linear) return std::make_shared<BdLoraVariant>(site.kind);
    if (name == "velora_config" && linear) return std::make_shared<VeloraVariant>(config, site);
  }
  throw ConfigError("target module '" + site.module_name +
                    "': invalid or unsupported variant combination: expected at most one that a " +
                    site.module_class + " can take, got " + join_names(names) +
                    ". Set the others to null, or leave the module out of target_modules.");
}

}  // namespace peft::lora
