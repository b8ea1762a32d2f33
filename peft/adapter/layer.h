#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <vector>

namespace peft {

/// How an operator reads a weight. One tensor may be embedding and output head at once (tied
/// weights); a tag keeps one entry for each kind of call.
enum class CallKind { kProduct, kLookup, kConvolution, kOther };

/// The arguments of an embedding call besides the weight.
struct EmbeddingCall {
  at::Tensor indices;        // any shape, int64 or int32
  int64_t padding_idx = -1;  // row whose gradient is dropped, -1: none
  bool scale_grad_by_freq = false;
  bool sparse = false;
};

/// The arguments of a convolution besides input, weight and bias. `padding` holds N numbers, or is
/// empty where `same_padding` asks for padding="same".
struct ConvolutionCall {
  std::vector<int64_t> stride, padding, dilation;
  bool same_padding = false;
  int64_t groups = 1;
};

/// What the adapters of one method do at one weight: the port between the tag, which knows
/// operators, and a method, which knows its maths. All named adapters of a site share one object,
/// as in Python's BaseTunerLayer.
///
/// Legend: O out features, I in features, R rank. `weight` is always the plain base weight (no tag,
/// the same bytes and gradient edge). The object must not hold the base weight strongly.
///
/// Not thread-safe against changes (adding, activating); concurrent calls are allowed.
class AdapterLayer {
 public:
  virtual ~AdapterLayer() = default;

  /// The dotted name of the parameter that is adapted; for messages.
  virtual const std::string& parameter_name() const = 0;

  /// Whether anything is to be added now (an adapter is active, enabled and not merged). Where
  /// false the tag passes the call to the base untouched.
  virtual bool active() const = 0;

  /// Whether a parameter of an active adapter requires a gradient.
  virtual bool trainable() const = 0;

  /// Why the effect of the active adapters cannot be expressed as a changed weight at this moment
  /// (dropout in training, one adapter a row, rotation of the input); empty: it can.
  /// Readers without a fast road then throw UnsupportedError with this text.
  virtual std::string input_dependence() const = 0;

  /// The sum of the active adapters' changes to the weight, differentiable, in `weight`'s shape and
  /// in a floating type that adds to it: what any reader sees is `weight + delta(weight)`.
  virtual at::Tensor delta(const at::Tensor& weight) const = 0;

  /// The weight as any reader sees it, where that is not made of delta() (values are replaced
  /// rather than added to) or is sooner made in one piece; undefined: `weight + delta(weight)`.
  virtual at::Tensor replaced(const at::Tensor& weight) const;

  /// x Wᵀ + b with adapters.  x [..., I], weight [O, I], bias [O] -> [..., O].
  virtual at::Tensor linear(const at::Tensor& x, const at::Tensor& weight,
                            const std::optional<at::Tensor>& bias) const = 0;

  /// x W + b with adapters, for weights stored as [I, O] (GPT-2's Conv1D).
  virtual at::Tensor transposed_linear(const at::Tensor& x, const at::Tensor& weight,
                                       const std::optional<at::Tensor>& bias) const = 0;

  /// Rows of the weight with adapters.  weight [V, D] -> [*indices, D].
  virtual at::Tensor embedding(const at::Tensor& weight, const EmbeddingCall& call) const = 0;

  /// Convolution in 1, 2 or 3 dimensions with adapters.
  virtual at::Tensor convolution(const at::Tensor& x, const at::Tensor& weight,
                                 const std::optional<at::Tensor>& bias,
                                 const ConvolutionCall& call) const = 0;
};

inline at::Tensor AdapterLayer::replaced(const at::Tensor&) const { return {}; }

}  // namespace peft
