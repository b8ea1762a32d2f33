#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

#include "peft/adapter/tuner_layer.h"
#include "peft/methods/lora/config.h"

namespace peft::lora {

/// The parameters of one adapter at one site. Shapes by kind of site; R rank, k kernel.
struct LoraAdapter {
  at::Tensor a;     // linear [R, I]; embedding [R, V]; convolution [R, I, *k]
  at::Tensor b;     // linear [O, R]; embedding [D, R]; convolution [O, R / groups, 1, ...]
  at::Tensor bias;  // [O]; undefined without lora_bias
  double scaling = 1.0;
  double dropout = 0.0;
};

/// LoRA at one site: y = W x + s B A x for each active adapter.
///
/// Source: Hu et al., arXiv:2106.09685; peft/tuners/lora/layer.py (Linear, Embedding, _ConvNd,
/// MultiheadAttention).
class LoraLayer final : public TunerLayer {
 public:
  using TunerLayer::TunerLayer;

  void add(const std::string& adapter, const PeftConfig& config, at::ScalarType dtype) override;
  BaseChange initialise(const std::string& adapter, const PeftConfig& config,
                        const at::Tensor& weight) override;
  void remove(const std::string& adapter) override;
  bool has(const std::string& adapter) const override { return adapters_.contains(adapter); }
  at::Tensor delta_of(const std::string& adapter, const at::Tensor& weight) const override;
  at::Tensor bias_delta_of(const std::string& adapter) const override;
  std::string merge_obstacle(const std::string& adapter) const override;

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

 protected:
  void present_adapters_changed() override;

 private:
  bool is_attention() const;
  double dropout_now(const LoraAdapter& adapter) const;
  at::Tensor add_linear(at::Tensor y, const at::Tensor& x) const;

  std::map<std::string, LoraAdapter> adapters_;
  std::vector<const LoraAdapter*> running_;
};

}  // namespace peft::lora
