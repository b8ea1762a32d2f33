#include "peft/models/common/attention.h"

#include <ATen/ATen.h>

#include <cmath>

#include "peft/models/common/causal_attention.h"
#include "peft/tensor/product_dtype.h"

namespace peft {
namespace {

// [B, K, S, D] -> [B, H, S, D]: each key/value head serves H / K query heads.
at::Tensor repeat_heads(const at::Tensor& x, int64_t groups) {
  if (groups == 1) return x;
  const auto b = x.size(0), k = x.size(1), s = x.size(2), d = x.size(3);
  return x.unsqueeze(2).expand({b, k, groups, s, d}).reshape({b, k * groups, s, d});
}

// The mask that libtorch's attention needs where there are keys of earlier tokens: its own `causal`
// lets the first query see the first key alone.
at::Tensor causal_mask(int64_t queries, int64_t keys, const at::TensorOptions& options) {
  const at::NoGradGuard no_grad;
  return at::full({queries, keys}, -INFINITY, options).triu_(keys - queries + 1);
}

}  // namespace

at::Tensor attend(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                  const AttentionMask& mask, const AttentionOptions& options) {
  const auto b = query.size(0), h = query.size(1), t = query.size(2), d = query.size(3);
  const auto dtype = query.is_cpu() ? product_dtype(query.scalar_type(), t) : query.scalar_type();
  if (dtype != query.scalar_type()) {
    auto wide = mask;
    if (wide.additive.defined()) wide.additive = wide.additive.to(dtype);
    return attend(query.to(dtype), key.to(dtype), value.to(dtype), wide, options)
        .to(query.scalar_type());
  }
  if (mask.causal && options.dropout == 0.0 && serves_causal_attention(query, key, value)) {
    return causal_attention(query, key, value, options.scale);
  }
  const auto groups = h / key.size(1);
  std::optional<at::Tensor> additive;
  if (mask.additive.defined()) additive = mask.additive;
  const bool later = mask.causal && t < key.size(2);
  if (later) additive = causal_mask(t, key.size(2), query.options());
  if (t == 1 && options.dropout == 0.0) {
    // One new token: the heads that share keys become the rows of one product, without a copy.
    const auto rows = query.view({b, h / groups, groups, d});
    return at::scaled_dot_product_attention(rows, key, value, additive, 0.0, false, options.scale)
        .reshape({b, 1, h * d});
  }
  return at::scaled_dot_product_attention(query, repeat_heads(key, groups),
                                          repeat_heads(value, groups), additive, options.dropout,
                                          mask.causal && !later, options.scale)
      .transpose(1, 2)
      .reshape({b, t, h * d});
}

}  // namespace peft
