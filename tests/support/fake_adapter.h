#pragma once

#include <torch/torch.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "peft/adapter/layer.h"
#include "peft/adapter/tag.h"

namespace peft::testing {

/// The smallest low-rank adapter: W + B A, no dropout, no scale. Every road is written down apart
/// from `delta`, so that a test which compares them tests the tag.
class FakeLora final : public AdapterLayer {
 public:
  explicit FakeLora(at::IntArrayRef shape, std::string name = "fc.weight")
      : name_(std::move(name)) {
    int64_t rows = shape[0], columns = 1;
    for (size_t i = 1; i < shape.size(); ++i) columns *= shape[i];
    a = torch::randn({4, columns}).mul_(.3).requires_grad_(true);
    b = torch::randn({rows, 4}).mul_(.3).requires_grad_(true);
  }

  at::Tensor a, b;
  bool is_active = true;
  std::string reason;          // of input dependence
  mutable int fast_calls = 0;  // how often a fast road was taken

  const std::string& parameter_name() const override { return name_; }
  bool active() const override { return is_active; }
  bool trainable() const override { return a.requires_grad() || b.requires_grad(); }
  std::string input_dependence() const override { return reason; }
  at::Tensor delta(const at::Tensor& weight) const override {
    return at::mm(b, a).reshape(weight.sizes());
  }
  at::Tensor linear(const at::Tensor& x, const at::Tensor& weight,
                    const std::optional<at::Tensor>& bias) const override {
    ++fast_calls;
    auto y = at::linear(x, weight, bias);
    auto type = weight.scalar_type();
    return y + at::linear(at::linear(x, a.to(type)), b.to(type));
  }
  at::Tensor transposed_linear(const at::Tensor& x, const at::Tensor& weight,
                               const std::optional<at::Tensor>& bias) const override {
    ++fast_calls;
    auto y = at::matmul(x, weight) + at::matmul(at::matmul(x, b), a);
    return bias ? y + *bias : y;
  }
  at::Tensor embedding(const at::Tensor& weight, const EmbeddingCall& call) const override {
    ++fast_calls;
    auto base =
        at::embedding(weight, call.indices, call.padding_idx, call.scale_grad_by_freq, call.sparse);
    auto rows = at::embedding(b, call.indices, call.padding_idx, call.scale_grad_by_freq, false);
    if (call.padding_idx >= 0) {  // the row's change is seen, but leaves no gradient in A either
      auto kept = call.indices.ne(call.padding_idx).unsqueeze(-1);
      return base + at::where(kept, at::matmul(rows, a), at::matmul(rows, a).detach());
    }
    return base + at::matmul(rows, a);
  }
  at::Tensor convolution(const at::Tensor& x, const at::Tensor& weight,
                         const std::optional<at::Tensor>& bias,
                         const ConvolutionCall& call) const override {
    ++fast_calls;
    auto run = [&](const at::Tensor& w, const std::optional<at::Tensor>& offset) {
      if (!call.same_padding) {
        return at::convolution(x, w, offset, call.stride, call.padding, call.dilation, false,
                               std::vector<int64_t>(w.dim() - 2, 0), call.groups);
      }
      if (w.dim() == 3)
        return at::conv1d(x, w, offset, call.stride, "same", call.dilation, call.groups);
      if (w.dim() == 4)
        return at::conv2d(x, w, offset, call.stride, "same", call.dilation, call.groups);
      return at::conv3d(x, w, offset, call.stride, "same", call.dilation, call.groups);
    };
    return run(weight, bias) + run(delta(weight), {});
  }

 private:
  std::string name_;
};

/// A replacement with one copy.
class FakeReplacement final : public Replacement {
 public:
  explicit FakeReplacement(at::Tensor copy, bool is_buffer = false)
      : copy(std::move(copy)), is_buffer_(is_buffer) {}
  at::Tensor copy;
  at::Tensor current() const override { return copy; }
  const std::string& parameter_name() const override { return name_; }
  bool is_buffer() const override { return is_buffer_; }

 private:
  std::string name_ = "norm.weight";
  bool is_buffer_;
};

inline void put_lora(const at::Tensor& weight, const std::shared_ptr<FakeLora>& layer) {
  tag(weight, std::static_pointer_cast<AdapterLayer>(layer));
}
inline std::shared_ptr<FakeLora> put_lora(const at::Tensor& weight) {
  auto layer = std::make_shared<FakeLora>(weight.sizes());
  put_lora(weight, layer);
  return layer;
}
inline std::shared_ptr<FakeReplacement> put_replacement(const at::Tensor& parameter,
                                                        const at::Tensor& copy,
                                                        bool is_buffer = false) {
  auto replacement = std::make_shared<FakeReplacement>(copy, is_buffer);
  tag(parameter, std::static_pointer_cast<Replacement>(replacement));
  return replacement;
}

/// The largest difference, relative to the size of the numbers.
inline double far(const at::Tensor& got, const at::Tensor& want) {
  if (!got.defined() || !want.defined()) return got.defined() == want.defined() ? 0 : 1e9;
  auto g = got.to_dense().to(at::kDouble), w = want.to_dense().to(at::kDouble);
  if (g.sizes() != w.sizes()) return 1e9;
  if (g.numel() == 0) return 0;
  return (g - w).abs().max().item<double>() / (1 + w.abs().max().item<double>());
}

/// What `run` throws, as text; empty where it throws nothing.
template <typename Run>
std::string error_of(Run run) {
  try {
    run();
  } catch (const std::exception& e) {
    return e.what();
  }
  return "";
}

}  // namespace peft::testing
