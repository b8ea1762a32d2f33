#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "peft/adapter/tuner_layer.h"
#include "peft/methods/lora/config.h"
#include "peft/methods/lora/lora_adapter.h"
#include "peft/methods/lora/mixed_rows.h"

namespace peft::lora {

/// LoRA at one site: y = W x + s B A x for each active adapter, or what its variant makes of it.
///
/// Source: Hu et al., arXiv:2106.09685; peft/tuners/lora/layer.py (Linear, Embedding, _ConvNd,
/// MultiheadAttention).
class LoraLayer final : public TunerLayer {
 public:
  using TunerLayer::TunerLayer;

  void add(const std::string& adapter, const PeftConfig& config, at::ScalarType dtype) override;
  BaseChange initialise(const std::string& adapter, const PeftConfig& config,
                        const at::Tensor& weight) override;
  void tie(const std::string& adapter, const PeftConfig& config,
           const TunerLayer& embedding) override;
  void remove(const std::string& adapter) override;
  bool has(const std::string& adapter) const override { return adapters_.contains(adapter); }
  at::Tensor delta_of(const std::string& adapter, const at::Tensor& weight) const override;
  bool builds_on_others(const std::string& adapter) const override;
  at::Tensor delta_after(const std::string& adapter, const at::Tensor& weight,
                         const at::Tensor& base) const override;
  at::Tensor replaced(const at::Tensor& weight) const override;
  at::Tensor bias_delta_of(const std::string& adapter) const override;
  std::string merge_obstacle(const std::string& adapter) const override;
  std::string mixed_batch_obstacle(const std::string& adapter) const override;

  std::string input_dependence() const override;
  at::Tensor linear(const at::Tensor& x, const at::Tensor& weight,
                    const std::optional<at::Tensor>& bias) const override;
  at::Tensor transposed_linear(const at::Tensor& x, const at::Tensor& weight,
                               const std::optional<at::Tensor>& bias) const override;
  at::Tensor embedding(const at::Tensor& weight, const EmbeddingCall& call) const override;
  at::Tensor convolution(const at::Tensor& x, const at::Tensor& weight,
                         const std::optional<at::Tensor>& bias,
                         const ConvolutionCall& call) const override;

  /// Throws: NotFoundError.
  const LoraAdapter& adapter(const std::string& name) const;
  void set_scaling(const std::string& name, double scaling);

 protected:
  void present_adapters_changed() override;

 private:
  void sort_rows();
  void check_each_row(bool served) const;
  bool is_attention() const;
  double dropout_now(const LoraAdapter& adapter) const;
  at::Tensor changed(const at::Tensor& weight) const;
  at::Tensor add_linear(at::Tensor y, const at::Tensor& x, const at::Tensor& weight,
                        const std::optional<at::Tensor>& bias) const;
  at::Tensor product_with_embedding(const at::Tensor& x, const at::Tensor& weight,
                                    const std::optional<at::Tensor>& bias) const;

  AdaptersOfSite adapters_;
  std::vector<const LoraAdapter*> running_;
  std::shared_ptr<const MixedRows> mixed_;  // one adapter a row; null: the running ones for all
  bool varied_ = false;                     // one of the running adapters has a variant
};

}  // namespace peft::lora
