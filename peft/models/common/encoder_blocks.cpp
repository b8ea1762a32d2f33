#include "peft/models/common/encoder_blocks.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/nn/module.h>

#include <cmath>
#include <tuple>

#include "peft/base/error.h"
#include "peft/models/common/project.h"

namespace peft {

EncoderContext make_encoder_context(const EncoderInput& input, const at::Tensor& embedded) {
  return {
      .mask = make_bidirectional_mask({.batch = embedded.size(0),
                                       .queries = embedded.size(1),
                                       .past = input.cache == nullptr ? 0 : input.cache->length(),
                                       .padding = input.attention_mask,
                                       .options = embedded.options().requires_grad(false)}),
      .cache = input.cache};
}

bool is_position_buffer(const std::string& key) {
  return key == "position_ids" || key.ends_with(".position_ids");
}

void check_positions(int64_t end, int64_t max_position_embeddings) {
  if (end <= max_position_embeddings) return;
  throw ConfigError(fmt::format(
      "encoder: too many tokens: expected positions below {}, got {}. Truncate the rows, or choose "
      "a model with larger max_position_embeddings.",
      max_position_embeddings, end - 1));
}

at::Tensor attend_to_all(const at::Tensor& x, const EncoderAttention& attention,
                         const EncoderContext& context) {
  const auto split = [&](const torch::nn::Linear& layer) {
    const auto y = project(x, layer);
    return y.view({y.size(0), y.size(1), attention.heads, -1}).transpose(1, 2);  // [B, H, T, D]
  };
  const auto query = split(attention.query);
  auto key = split(attention.key), value = split(attention.value);
  if (context.cache != nullptr) {
    std::tie(key, value) = context.cache->append(attention.layer, key, value);
  }
  return attend(
      query, key, value, context.mask,
      {.scale = 1.0 / std::sqrt(static_cast<double>(query.size(3))), .dropout = attention.dropout});
}

at::Tensor feed_forward(const at::Tensor& x, const torch::nn::Linear& first, Activation activation,
                        const torch::nn::Linear& second) {
  return project(activation(project(x, first)), second);
}

}  // namespace peft
