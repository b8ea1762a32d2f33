#include "peft/models/common/activation.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <map>
#include <ranges>

#include "peft/base/error.h"

namespace peft {
namespace {

at::Tensor gelu(const at::Tensor& x) { return at::gelu(x); }

at::Tensor gelu_tanh(const at::Tensor& x) { return at::gelu(x, "tanh"); }

at::Tensor laplace(const at::Tensor& x) {
  constexpr double kMean = 0.707107, kDeviation = 0.282095;
  return 0.5 * (1.0 + at::erf((x - kMean) / (kDeviation * std::sqrt(2.0))));
}

// Those with parameters of their own, prelu and xielu, are not among them.
const std::map<std::string, Activation> kActivations = {
    {"gelu", gelu},
    {"gelu_python", gelu},
    {"gelu_10", [](const at::Tensor& x) { return at::clamp(at::gelu(x), -10, 10); }},
    {"gelu_new", gelu_tanh},
    {"gelu_fast", gelu_tanh},
    {"gelu_accurate", gelu_tanh},
    {"gelu_pytorch_tanh", gelu_tanh},
    {"gelu_python_tanh", gelu_tanh},
    {"quick_gelu", [](const at::Tensor& x) { return x * at::sigmoid(1.702 * x); }},
    {"hardswish", [](const at::Tensor& x) { return at::hardswish(x); }},
    {"laplace", laplace},
    {"leaky_relu", [](const at::Tensor& x) { return at::leaky_relu(x); }},
    {"linear", [](const at::Tensor& x) { return x; }},
    {"mish", [](const at::Tensor& x) { return at::mish(x); }},
    {"relu", [](const at::Tensor& x) { return at::relu(x); }},
    {"relu2", [](const at::Tensor& x) { return at::square(at::relu(x)); }},
    {"relu6", [](const at::Tensor& x) { return at::relu6(x); }},
    {"sigmoid", [](const at::Tensor& x) { return at::sigmoid(x); }},
    {"silu", [](const at::Tensor& x) { return at::silu(x); }},
    {"swish", [](const at::Tensor& x) { return at::silu(x); }},
    {"sqrtsoftplus", [](const at::Tensor& x) { return at::sqrt(at::softplus(x)); }},
    {"tanh", [](const at::Tensor& x) { return at::tanh(x); }},
};

}  // namespace

Activation read_activation(const ConfigReader& reader, const std::string& key,
                           const std::string& fallback) {
  const auto name = reader.text(key, fallback);
  const auto found = kActivations.find(name);
  if (found != kActivations.end()) return found->second;
  throw UnsupportedError(fmt::format("{}: {}: expected one of {}, got {}.", reader.where(), key,
                                     fmt::join(std::views::keys(kActivations), ", "), name));
}

}  // namespace peft
