#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <string>

#include "peft/adapter/layer.h"
#include "peft/adapter/site.h"
#include "peft/adapter/slots.h"
#include "peft/adapter/tuner_layer.h"
#include "peft/methods/lora/config.h"
#include "peft/methods/lora/lora_adapter.h"

namespace peft::lora {

/// Where and for what an adapter is made.
struct VariantSetup {
  const LoraConfig& config;
  const Site& site;
  const std::string& adapter;    // its name
  const AdaptersOfSite& beside;  // the site's others, which outlive the variant
};

/// One call of a linear layer, whichever way its weight is stored.
struct LinearCall {
  const at::Tensor& x;       // [..., I]
  const at::Tensor& weight;  // [O, I], the plain base weight
  const std::optional<at::Tensor>& bias;
  double dropout = 0.0;   // probability now: 0 outside of training
  bool training = false;  // the layer is in training mode
};

/// Another way of using A and B, or more parameters beside them. One object serves one adapter at
/// one site. The calls of several adapters are chained: each gets the result of the one before.
///
/// Legend: O out features, I in features, R rank, V vocabulary, D width of an embedding.
/// Source: LoraVariant in peft/tuners/lora/layer.py.
class LoraVariant {
 public:
  virtual ~LoraVariant() = default;

  /// Gives A and B another shape or other values, before they are registered. All checks of the
  /// config are made here.  Throws: ConfigError, UnsupportedError.
  virtual void prepare(LoraAdapter& adapter, const VariantSetup& setup);

  /// Registers what the variant keeps beside A and B. `options`: dtype and device of parameters.
  virtual void attach(const VariantSetup& setup, const at::TensorOptions& options,
                      AdapterSlots& slots);

  /// Gives what was registered the values that depend on the base weight, which A and B may have
  /// been taken out of.  weight: in the site's own orientation
  virtual BaseChange initialise(const LoraAdapter& adapter, const at::Tensor& weight);

  /// y, the result of the layer so far, with this adapter's effect.  y [..., O] -> [..., O]
  virtual at::Tensor linear(const LoraAdapter& adapter, const LinearCall& call,
                            const at::Tensor& y) const = 0;

  /// The same where this is the only adapter and everything has one dtype: the base's product may
  /// then be made together with the adapter's.
  virtual at::Tensor linear_alone(const LoraAdapter& adapter, const LinearCall& call) const;

  /// Rows of an embedding.  weight [V, D], y [*indices, D] -> [*indices, D]
  virtual at::Tensor embedding(const LoraAdapter& adapter, const at::Tensor& weight,
                               const EmbeddingCall& call, const at::Tensor& y) const;

  /// A convolution.  y [N, O, *] -> [N, O, *]
  virtual at::Tensor convolution(const LoraAdapter& adapter, const at::Tensor& x,
                                 const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                                 const ConvolutionCall& call, double dropout,
                                 const at::Tensor& y) const;

  /// The change to a weight that other adapters may have changed before; `base` is the weight
  /// without any.
  virtual at::Tensor delta(const LoraAdapter& adapter, const at::Tensor& weight,
                           const at::Tensor& base) const = 0;

  /// Whether delta() depends on its `weight`.
  virtual bool builds_on_others() const { return false; }

  /// Why the effect is not that of a changed weight now; empty: it is.
  virtual std::string input_dependence() const { return {}; }

  /// Why the adapter cannot be folded into the weight; empty: it can.
  virtual std::string merge_obstacle() const { return {}; }

  /// Why some rows of a batch cannot have the adapter beside others; empty: they can.
  virtual std::string mixed_batch_obstacle() const { return {}; }

  /// Whether the adapter can be turned into one of plain LoRA.
  virtual bool supports_lora_conversion() const { return true; }
};

/// The variant that a config asks for at a site; null for plain LoRA.
/// Throws: ConfigError where the site has no such variant, or several are asked for at once.
/// Source: LoraLayer.resolve_lora_variant.
std::shared_ptr<LoraVariant> make_variant(const LoraConfig& config, const Site& site);

}  // namespace peft::lora
