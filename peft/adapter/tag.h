#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "peft/adapter/layer.h"

namespace peft {

/// A tensor that stands in for a parameter (modules_to_save, trainable tokens, norm tuning). Which
/// one may change with the active adapter: `current` is asked at every read.
class Replacement {
 public:
  virtual ~Replacement() = default;
  /// The tensor to read instead, of the parameter's shape; undefined: read the base.
  virtual at::Tensor current() const = 0;
  virtual const std::string& parameter_name() const = 0;
  /// True for a buffer: the module writes it in its own forward (the statistics of BatchNorm), so
  /// writes go to the replacement as reads do. Writes to a parameter reach the base.
  virtual bool is_buffer() const { return false; }
  /// What serves the calls where each row of a batch has its own replacement; null: current() does.
  virtual const AdapterLayer* per_row() const { return nullptr; }
};

/// Puts an adapter on a weight for calls of the kinds given. Registers the dispatcher's kernels on
/// first use (idempotent, thread-safe).
///
/// Throws: ConfigError where the weight already carries an entry for one of the kinds, belongs to
/// an adapter or is a replacement; UnsupportedError where another library owns the dispatch key.
/// Not to be called while a forward runs on the weight.
void tag(const at::Tensor& weight, std::shared_ptr<AdapterLayer> layer,
         const std::vector<CallKind>& kinds = {CallKind::kProduct, CallKind::kLookup,
                                               CallKind::kConvolution, CallKind::kOther});

/// Puts a replacement on a parameter for calls of the kinds given. Throws as `tag` does.
void tag(const at::Tensor& parameter, std::shared_ptr<Replacement> replacement,
         const std::vector<CallKind>& kinds = {CallKind::kProduct, CallKind::kLookup,
                                               CallKind::kConvolution, CallKind::kOther});

/// Takes away the entries of one layer or replacement; the tensor is plain again after the last.
void untag(const at::Tensor& weight, const AdapterLayer& layer);
void untag(const at::Tensor& parameter, const Replacement& replacement);

/// Marks a parameter as part of an adapter, so that tagging it is refused.
void mark_as_adapter_parameter(const at::Tensor& parameter);

/// True where `weight` still carries the entry of this layer: `set_data` and reassignment lose it.
bool carries(const at::Tensor& weight, const AdapterLayer& layer);
bool carries(const at::Tensor& parameter, const Replacement& replacement);

/// True where an adapter or a replacement rides on the weight. An offloaded weight is tagged, and
/// need not be adapted.
bool is_adapted(const at::Tensor& weight);

/// The base weight itself: the same bytes and gradient edge, without a tag.
at::Tensor base(const at::Tensor& weight);

/// What the model sees in the weight's place, for calls of a kind: W + delta, or the replacement.
/// Throws: UnsupportedError where the adapter depends on its input.
at::Tensor effective(const at::Tensor& weight, CallKind kind = CallKind::kProduct);

}  // namespace peft
