// What a tag on a weight costs a call: the operators of docs/tagged-weight.md on a 64 x 64 weight
// without a tag, with an adapter that does nothing more than the base, and with a replacement.
//
//   tag_overhead [--json]
//
// Nanoseconds a call on one thread, the best of five rounds; the last column is an untagged tensor
// while the dispatcher's library is installed.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/nn/functional/linear.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <limits>
#include <string_view>
#include <vector>

#include "peft/adapter/tag.h"

namespace {

using at::Tensor;

/// The least that an adapter may do: every road is the base's own.
class Nothing final : public peft::AdapterLayer {
 public:
  const std::string& parameter_name() const override { return name_; }
  bool active() const override { return true; }
  bool trainable() const override { return false; }
  std::string input_dependence() const override { return {}; }
  Tensor delta(const Tensor& weight) const override { return at::zeros_like(weight); }
  Tensor linear(const Tensor& x, const Tensor& weight,
                const std::optional<Tensor>& bias) const override {
    return at::linear(x, weight, bias);
  }
  Tensor transposed_linear(const Tensor& x, const Tensor& weight,
                           const std::optional<Tensor>& bias) const override {
    const Tensor y = at::matmul(x, weight);
    return bias ? y + *bias : y;
  }
  Tensor embedding(const Tensor& weight, const peft::EmbeddingCall& call) const override {
    return at::embedding(weight, call.indices, call.padding_idx);
  }
  Tensor convolution(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias,
                     const peft::ConvolutionCall& call) const override {
    return at::conv2d(x, weight, bias, call.stride, call.padding, call.dilation, call.groups);
  }

 private:
  std::string name_ = "weight";
};

class Copy final : public peft::Replacement {
 public:
  explicit Copy(const Tensor& weight) : copy_(weight.clone()) {}
  Tensor current() const override { return copy_; }
  const std::string& parameter_name() const override { return name_; }

 private:
  Tensor copy_;
  std::string name_ = "weight";
};

struct Case {
  const char* name;
  std::function<void(const Tensor& weight)> call;
};

std::vector<Case> cases() {
  const Tensor x = at::randn({1, 64}), bias = at::randn({64}), row = at::randn({8, 64});
  return {
      {"linear 1x64", [=](const Tensor& w) { at::linear(x, w); }},
      {"F::linear + bias", [=](const Tensor& w) { torch::nn::functional::linear(x, w, bias); }},
      {"w.t()", [](const Tensor& w) { w.t(); }},
      {"w.slice", [](const Tensor& w) { w.slice(0, 0, 32); }},
      {"w.detach()", [](const Tensor& w) { w.detach(); }},
      {"w.add_", [](const Tensor& w) { w.add_(1e-9); }},
      {"w.mul(2)", [](const Tensor& w) { w.mul(2); }},
      {"layer_norm", [=](const Tensor& w) { at::layer_norm(row, {64}, w.select(0, 0)); }},
  };
}

double nanoseconds(const Case& measured, const Tensor& weight) {
  constexpr int kRounds = 5, kCalls = 4000;
  double best = std::numeric_limits<double>::max();
  for (int round = 0; round < kRounds; ++round) {
    const auto start = std::chrono::steady_clock::now();
    for (int call = 0; call < kCalls; ++call) measured.call(weight);
    const std::chrono::duration<double, std::nano> spent = std::chrono::steady_clock::now() - start;
    best = std::min(best, spent.count() / kCalls);
  }
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  const bool json = argc > 1 && std::string_view(argv[1]) == "--json";
  at::set_num_threads(1);
  at::NoGradGuard no_grad;
  const Tensor plain = at::randn({64, 64}), adapted = plain.clone(), replaced = plain.clone();
  std::vector<double> before;  // nothing is registered yet
  for (const Case& one : cases()) before.push_back(nanoseconds(one, plain));
  peft::tag(adapted, std::shared_ptr<peft::AdapterLayer>(std::make_shared<Nothing>()));
  peft::tag(replaced, std::shared_ptr<peft::Replacement>(std::make_shared<Copy>(plain)));
  if (!json)
    std::printf("%-18s %8s %8s %9s %9s\n", "ns a call", "plain", "adapter", "replaced", "untagged");
  const auto all = cases();
  for (size_t i = 0; i < all.size(); ++i) {
    const double a = nanoseconds(all[i], adapted), r = nanoseconds(all[i], replaced),
                 u = nanoseconds(all[i], plain);
    if (json) {
      std::printf(
          "{\"call\": \"%s\", \"plain_ns\": %.0f, \"adapter_ns\": %.0f, \"replaced_ns\": %.0f, "
          "\"untagged_ns\": %.0f}\n",
          all[i].name, before[i], a, r, u);
    } else {
      std::printf("%-18s %8.0f %8.0f %9.0f %9.0f\n", all[i].name, before[i], a, r, u);
    }
  }
  return 0;
}
