#pragma once

#include <mutex>

#include "peft/methods/lora/variants/variant.h"

namespace peft::lora {

/// DoRA: the weight's length, one number m an output, learns apart from its direction:
/// W' = m / ‖W + s B A‖ · (W + s B A), where the norm is taken for a constant in backward.
///
/// Source: Liu et al., arXiv:2402.09353; peft/tuners/lora/dora.py and the Dora classes of
/// peft/tuners/lora/variants.py.
class DoraVariant final : public LoraVariant {
 public:
  /// With `ephemeral_gpu_offload` the lengths of weights on the CPU are computed on a GPU.
  DoraVariant(const Site& site, bool ephemeral_gpu_offload)
      : kind_(site.kind), ephemeral_gpu_offload_(ephemeral_gpu_offload) {}

  void attach(const VariantSetup& setup, const at::TensorOptions& options,
              AdapterSlots& slots) override;
  /// The lengths start as those of the weight with the adapter, so that a fresh one changes
  /// nothing.  Throws: ConfigError where a GPU is asked for and there is none.
  BaseChange initialise(const LoraAdapter& adapter, const at::Tensor& weight) override;
  at::Tensor linear(const LoraAdapter& adapter, const LinearCall& call,
                    const at::Tensor& y) const override;
  at::Tensor linear_alone(const LoraAdapter& adapter, const LinearCall& call) const override;
  at::Tensor embedding(const LoraAdapter& adapter, const at::Tensor& weight,
                       const EmbeddingCall& call, const at::Tensor& y) const override;
  at::Tensor convolution(const LoraAdapter& adapter, const at::Tensor& x, const at::Tensor& weight,
                         const std::optional<at::Tensor>& bias, const ConvolutionCall& call,
                         double dropout, const at::Tensor& y) const override;
  at::Tensor delta(const LoraAdapter& adapter, const at::Tensor& weight,
                   const at::Tensor& base) const override;
  std::string mixed_batch_obstacle() const override {
    return "adapter_names cannot be passed when DoRA is enabled";
  }
  bool builds_on_others() const override { return true; }

 private:
  at::Tensor norm(const LoraAdapter& adapter, const at::Tensor& rows) const;
  at::Tensor norm_on_gpu(const LoraAdapter& adapter, const at::Tensor& rows) const;
  at::Tensor factor(const LoraAdapter& adapter, const at::Tensor& weight,
                    const at::Tensor& rows) const;

  SiteKind kind_;
  bool ephemeral_gpu_offload_;
  at::Tensor magnitude_;  // linear [O]; embedding [D]; convolution [1, O, 1, ...]

  // The norms of the last call, and the state of the tensors that they were made of.
  struct Cached {
    const void *a = nullptr, *b = nullptr, *weight = nullptr;
    int64_t a_version = -1, b_version = -1, weight_version = -1;
    at::Tensor norm = {};
    bool matches(const Cached& other) const {
      return a == other.a && b == other.b && weight == other.weight &&
             a_version == other.a_version && b_version == other.b_version &&
             weight_version == other.weight_version;
    }
  };
  mutable std::mutex mutex_;
  mutable Cached cached_;
};

}  // namespace peft::lora

namespace peft {

/// While it lives, layers with DoRA keep the norms of their weights between calls that make no
/// gradients: faster, for one number an output channel. Nothing stale is ever used: a changed
/// weight or factor is noticed.
///
/// Source: DoraCaching in peft/helpers.py.
class [[nodiscard]] DoraCaching {
 public:
  explicit DoraCaching(bool enabled = true);
  DoraCaching(const DoraCaching&) = delete;
  DoraCaching& operator=(const DoraCaching&) = delete;
  ~DoraCaching();

 private:
  bool before_;
};

}  // namespace peft
