#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <limits>

#include "peft/base/error.h"
#include "peft/models/common/attention.h"

namespace peft {
namespace {

// [B, T]: the number of the packed sequence that a token belongs to; undefined where each row holds
// one sequence. A sequence ends where the next position is not one more.
at::Tensor packed_sequences(const at::Tensor& position_ids) {
  if (position_ids.size(1) < 2) return {};
  const auto jump = position_ids.diff(1, 1).ne(1);
  if (!jump.any().item<bool>()) return {};
  return at::constant_pad_nd(jump.to(at::kLong).cumsum(1), {1, 0}, 0);
}

at::Tensor visible_keys(const AttentionMaskInput& in, int64_t keys, const at::Tensor& sequences) {
  const auto device = in.options.device();
  const auto query = (at::arange(in.queries, device) + in.past).unsqueeze(1);  // [T, 1]
  const auto key = at::arange(keys, device).unsqueeze(0);                      // [1, S]
  auto visible = key.le(query);
  if (in.window > 0) visible = visible.logical_and(key.gt(query - in.window));
  visible = visible.unsqueeze(0).unsqueeze(0);  // [1, 1, T, S]
  if (sequences.defined()) {
    visible = visible.logical_and(
        sequences.unsqueeze(-1).eq(sequences.unsqueeze(-2)).unsqueeze(1));  // [B, 1, T, T]
  }
  if (in.padding.defined()) {
    visible = visible.logical_and(
        in.padding.narrow(1, 0, keys).to(device).ne(0).unsqueeze(1).unsqueeze(1));  // [B, 1, 1, S]
  }
  return visible;
}

void check_padding(const AttentionMaskInput& in, bool fits) {
  if (fits) return;
  throw ConfigError(fmt::format(
      "attention_mask: wrong shape: expected [{}, {}] (rows, tokens of the cache and new ones), "
      "got {}. Give it one number for each token.",
      in.batch, in.past + in.queries, fmt::join(in.padding.sizes(), " x ")));
}

at::Tensor additive_mask(const at::Tensor& visible, at::TensorOptions options) {
  auto additive = at::zeros(visible.sizes(), options);
  return additive.masked_fill_(visible.logical_not(), -std::numeric_limits<double>::infinity());
}

}  // namespace

AttentionMask make_bidirectional_mask(const AttentionMaskInput& in) {
  at::NoGradGuard no_grad;
  if (!in.padding.defined()) return {};
  check_padding(in, in.padding.sizes().equals({in.batch, in.past + in.queries}));
  const auto visible = in.padding.to(in.options.device()).ne(0);
  if (visible.all().item<bool>()) return {};
  return {.additive = additive_mask(visible.unsqueeze(1).unsqueeze(1), in.options)};
}

AttentionMask make_attention_mask(const AttentionMaskInput& given) {
  at::NoGradGuard no_grad;
  auto in = given;
  const auto keys = in.past + in.queries;
  if (in.padding.defined()) {
    check_padding(
        in, in.padding.dim() == 2 && in.padding.size(0) == in.batch && in.padding.size(1) >= keys);
    if (in.padding.narrow(1, 0, keys).ne(0).all().item<bool>()) in.padding.reset();
  }
  at::Tensor sequences;
  if (!given.padding.defined() && in.position_ids.defined() && in.past == 0) {
    sequences = packed_sequences(in.position_ids);
  }
  const bool windowed = in.window > 0 && in.window < keys;
  if (!in.padding.defined() && !sequences.defined() && !windowed) {
    return {.causal = in.queries > 1};
  }
  const auto visible = visible_keys(in, keys, sequences);
  return {.additive = additive_mask(visible, in.options)};
}

}  // namespace peft
