#include "peft/models/common/language_model.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "peft/base/error.h"
#include "peft/models/common/linear_cross_entropy.h"

namespace peft {
namespace {

constexpr int64_t kIgnoredLabel = -100;

// Padding on the right is never seen by a token before it, so a mask that only hides it can be left
// away where no label is predicted from a padding position: attention then needs no mask at all.
bool mask_is_needless(const LanguageModelInput& input, const at::Tensor& counted) {
  const auto& mask = input.attention_mask;
  if (!mask.defined() || input.cache != nullptr || input.position_ids.defined()) return false;
  if (mask.sizes() != counted.sizes()) return false;
  const auto token = mask.ne(0);
  const auto length = mask.size(1);
  const auto grows =
      token.narrow(1, 1, length - 1).logical_and(token.narrow(1, 0, length - 1).logical_not());
  const auto from_padding =
      counted.narrow(1, 1, length - 1).logical_and(token.narrow(1, 0, length - 1).logical_not());
  return !grows.logical_or(from_padding).any().item<bool>();
}

}  // namespace

LanguageModelInput LanguageModelInput::to(at::Device device) const {
  const auto there = [&](const at::Tensor& tensor) {
    return tensor.defined() ? tensor.to(device) : tensor;
  };
  return {.input_ids = there(input_ids),
          .inputs_embeds = there(inputs_embeds),
          .attention_mask = there(attention_mask),
          .position_ids = there(position_ids),
          .cache = cache};
}

at::Tensor LanguageModelImpl::loss_sum(const LanguageModelInput& input, const at::Tensor& labels) {
  const auto& tokens = input.input_ids.defined() ? input.input_ids : input.inputs_embeds;
  if (!tokens.defined() || labels.dim() != 2 || tokens.size(0) != labels.size(0) ||
      tokens.size(1) != labels.size(1)) {
    throw ConfigError(fmt::format(
        "loss: labels do not fit the input: expected one label for each token, got labels [{}].",
        fmt::join(labels.sizes(), ", ")));
  }
  const auto length = labels.size(1);
  const auto counted = labels.ne(kIgnoredLabel);
  auto plain = input;
  if (length > 1 && mask_is_needless(input, counted)) plain.attention_mask.reset();
  const auto hidden = hidden_states(plain);
  // The label of token t is predicted from token t - 1.
  auto next = at::full_like(labels, kIgnoredLabel);
  if (length > 1) next.narrow(1, 0, length - 1).copy_(labels.narrow(1, 1, length - 1));
  next = next.reshape({-1}).to(hidden.device());
  const auto rows = next.ne(kIgnoredLabel).nonzero().squeeze(1);
  return linear_cross_entropy_sum(hidden.reshape({-1, hidden.size(-1)}), head_weight(), rows,
                                  next.index_select(0, rows));
}

}  // namespace peft
