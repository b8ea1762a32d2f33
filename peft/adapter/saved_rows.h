#pragma once

#include <memory>
#include <string>
#include <vector>

#include "peft/adapter/adapter_rows.h"
#include "peft/adapter/layer.h"

namespace peft {

/// One module of modules_to_save while each row of a batch names its adapter: every row is computed
/// with the weight and bias of its adapter's copy, or with the base's.
///
/// Source: AuxiliaryTrainingWrapper._mixed_batch_forward in peft/utils/other.py.
class SavedRows final : public AdapterLayer {
 public:
  /// What one adapter has in the place of the module's own tensors.
  struct Copy {
    at::Tensor weight;  // undefined: the adapter has no copy, its rows read the base
    at::Tensor bias;    // undefined: the module has none
  };

  /// `copies`: one for each of `rows.adapters`.
  SavedRows(std::string parameter_name, const AdapterRows& rows, std::vector<Copy> copies)
      : parameter_name_(std::move(parameter_name)), groups_(rows), copies_(std::move(copies)) {}

  const std::string& parameter_name() const override { return parameter_name_; }
  bool active() const override { return true; }
  bool trainable() const override;
  std::string input_dependence() const override;
  /// Throws: UnsupportedError, since there is not one change for all rows.
  at::Tensor delta(const at::Tensor& weight) const override;
  at::Tensor linear(const at::Tensor& x, const at::Tensor& weight,
                    const std::optional<at::Tensor>& bias) const override;
  at::Tensor transposed_linear(const at::Tensor& x, const at::Tensor& weight,
                               const std::optional<at::Tensor>& bias) const override;
  at::Tensor embedding(const at::Tensor& weight, const EmbeddingCall& call) const override;
  at::Tensor convolution(const at::Tensor& x, const at::Tensor& weight,
                         const std::optional<at::Tensor>& bias,
                         const ConvolutionCall& call) const override;

 private:
  template <typename Compute>
  at::Tensor by_rows(const at::Tensor& x, const at::Tensor& of_base, const Compute& compute) const;

  std::string parameter_name_;
  RowGroups groups_;
  std::vector<Copy> copies_;
};

}  // namespace peft
