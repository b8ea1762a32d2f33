#include "peft/models/common/rope.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "peft/base/error.h"

namespace peft {
namespace {

constexpr auto kKnownTypes = "default, linear, dynamic, yarn, llama3";

at::Tensor exponents(int64_t dim) { return at::arange(0, dim, 2, at::kFloat) / dim; }

double yarn_scale(double scale, double mscale) {
  return scale <= 1.0 ? 1.0 : 0.1 * mscale * std::log(scale) + 1.0;
}

double yarn_factor(const RopeParameters& p) {
  return p.factor.value_or(static_cast<double>(p.max_position_embeddings) /
                           static_cast<double>(p.original_max_position_embeddings));
}

double yarn_attention_factor(const RopeParameters& p) {
  if (p.attention_factor) return *p.attention_factor;
  const double factor = yarn_factor(p);
  if (p.mscale.value_or(0) != 0 && p.mscale_all_dim.value_or(0) != 0) {
    return yarn_scale(factor, *p.mscale) / yarn_scale(factor, *p.mscale_all_dim);
  }
  return yarn_scale(factor, 1.0);
}

// The dimension whose wave turns `rotations` times within the original context.
double yarn_correction_dim(const RopeParameters& p, double rotations, double dim) {
  const auto context = static_cast<double>(p.original_max_position_embeddings);
  return dim * std::log(context / (rotations * 2 * std::numbers::pi)) /
         (2 * std::log(p.rope_theta));
}

at::Tensor yarn_frequencies(const RopeParameters& p, int64_t dim) {
  const auto waves = at::pow(p.rope_theta, exponents(dim));
  const auto extrapolation = 1.0 / waves;
  const auto interpolation = 1.0 / (yarn_factor(p) * waves);
  double low = yarn_correction_dim(p, p.beta_fast, static_cast<double>(dim));
  double high = yarn_correction_dim(p, p.beta_slow, static_cast<double>(dim));
  if (p.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(dim - 1));
  if (low == high) high += 0.001;
  const auto ramp = ((at::arange(dim / 2, at::kFloat) - low) / (high - low)).clamp(0, 1);
  const auto keep = 1 - ramp;
  return interpolation * (1 - keep) + extrapolation * keep;
}

at::Tensor llama3_frequencies(const RopeParameters& p, int64_t dim) {
  const auto plain = 1.0 / at::pow(p.rope_theta, exponents(dim));
  const auto context = static_cast<double>(p.original_max_position_embeddings);
  const double long_wave = context / p.low_freq_factor;
  const double short_wave = context / p.high_freq_factor;
  const double factor = *p.factor;
  const auto wave = 2 * std::numbers::pi / plain;
  const auto scaled = at::where(wave > long_wave, plain / factor, plain);
  const auto smooth =
      (context / wave - p.low_freq_factor) / (p.high_freq_factor - p.low_freq_factor);
  const auto blended = (1 - smooth) * scaled / factor + smooth * scaled;
  const auto medium = at::logical_and(wave >= short_wave, wave <= long_wave);
  return at::where(medium, blended, scaled);
}

// Computed in float32 step by step as Python does, where the length is a tensor.
at::Tensor dynamic_frequencies(const RopeParameters& p, int64_t dim, int64_t length) {
  if (length <= p.max_position_embeddings) return 1.0 / at::pow(p.rope_theta, exponents(dim));
  const auto stretch =
      at::scalar_tensor(length, at::kFloat) * *p.factor / p.max_position_embeddings -
      (*p.factor - 1);
  const auto power = static_cast<double>(dim) / static_cast<double>(dim - 2);
  return 1.0 / at::pow(at::pow(stretch, power) * p.rope_theta, exponents(dim));
}

}  // namespace

RopeParameters RopeParameters::from_config(const ConfigReader& config,
                                           int64_t max_position_embeddings) {
  Json spelled = Json::object();
  for (const auto* key : {"rope_scaling", "rope_parameters"}) {
    if (!config.has(key) || config.json().at(key).empty()) continue;
    spelled = config.json().at(key);
    break;
  }
  const ConfigReader rope(spelled, config.where() + ": rope_parameters");
  RopeParameters p;
  p.rope_type = rope.text("rope_type", rope.text("type", "default"));
  p.rope_theta = rope.number("rope_theta", config.number("rope_theta", 10000.0));
  p.max_position_embeddings = max_position_embeddings;
  p.original_max_position_embeddings =
      config.size("original_max_position_embeddings",
                  rope.size("original_max_position_embeddings", max_position_embeddings));
  const bool known =
      fmt::format(", {},", kKnownTypes).find(fmt::format(" {},", p.rope_type)) != std::string::npos;
  if (!known) {
    throw UnsupportedError(fmt::format("{}: unknown rope type: expected one of {}, got {}.",
                                       rope.where(), kKnownTypes, p.rope_type));
  }
  p.partial_rotary_factor =
      rope.number("partial_rotary_factor", config.number("partial_rotary_factor", 1.0));
  if (p.rope_type == "default") return p;
  if (rope.has("factor") || p.rope_type != "yarn") p.factor = rope.number("factor");
  if (rope.has("attention_factor")) p.attention_factor = rope.number("attention_factor");
  if (rope.has("mscale")) p.mscale = rope.number("mscale");
  if (rope.has("mscale_all_dim")) p.mscale_all_dim = rope.number("mscale_all_dim");
  if (rope.number("beta_fast", 0) != 0) p.beta_fast = rope.number("beta_fast");
  if (rope.number("beta_slow", 0) != 0) p.beta_slow = rope.number("beta_slow");
  p.truncate = rope.flag("truncate", true);
  if (p.rope_type == "llama3") {
    p.low_freq_factor = rope.number("low_freq_factor");
    p.high_freq_factor = rope.number("high_freq_factor");
  }
  return p;
}

RotaryEmbedding::RotaryEmbedding(const RopeParameters& parameters, int64_t head_dim)
    : parameters_(parameters), head_dim_(head_dim) {
  inverse_frequencies_ = inverse_frequencies(0);
  if (parameters_.rope_type == "yarn") attention_scaling_ = yarn_attention_factor(parameters_);
}

at::Tensor RotaryEmbedding::inverse_frequencies(int64_t length) const {
  const auto& type = parameters_.rope_type;
  if (type == "yarn") return yarn_frequencies(parameters_, head_dim_);
  if (type == "llama3") return llama3_frequencies(parameters_, head_dim_);
  if (type == "dynamic") return dynamic_frequencies(parameters_, head_dim_, length);
  const auto plain = 1.0 / at::pow(parameters_.rope_theta, exponents(head_dim_));
  return type == "linear" ? plain / *parameters_.factor : plain;
}

RotaryAngles RotaryEmbedding::angles(const at::Tensor& position_ids) const {
  at::NoGradGuard no_grad;
  auto frequencies = inverse_frequencies_;
  if (parameters_.rope_type == "dynamic") {
    const auto length = position_ids.max().item<int64_t>() + 1;
    if (length > parameters_.max_position_embeddings) frequencies = inverse_frequencies(length);
  }
  const auto angle = position_ids.to(at::kFloat).unsqueeze(-1) *
                     frequencies.to(position_ids.device());  // [B or 1, T, D / 2]
  RotaryAngles angles{angle.cos(), angle.sin()};
  if (attention_scaling_ != 1.0) {
    angles.cos.mul_(attention_scaling_);
    angles.sin.mul_(attention_scaling_);
  }
  return angles;
}

}  // namespace peft
