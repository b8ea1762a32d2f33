#include "peft/models/common/seq2seq_attention.h"

#include <ATen/ATen.h>
#include <torch/nn/module.h>

#include "peft/models/common/checkpointing.h"
#include "peft/models/common/layers.h"
#include "peft/models/common/project.h"

namespace peft {

Seq2SeqAttentionImpl::Seq2SeqAttentionImpl(const Sizes& sizes, const Names& names, int64_t layer,
                                           at::TensorOptions options)
    : sizes_(sizes), layer_(layer) {
  const int64_t inner = sizes.heads * sizes.width;
  const auto add = [&](const char* name, int64_t in, int64_t out) {
    return register_module(name, make_linear(in, out, sizes.bias, options));
  };
  query_ = add(names.query, sizes.hidden, inner);
  key_ = add(names.key, sizes.hidden, inner);
  value_ = add(names.value, sizes.hidden, inner);
  output_ = add(names.output, inner, sizes.hidden);
}

at::Tensor Seq2SeqAttentionImpl::heads(const at::Tensor& x, const torch::nn::Linear& layer) const {
  return project(x, layer)
      .view({x.size(0), x.size(1), -1, sizes_.width})
      .transpose(1, 2);  // [B, H, T, D]
}

Seq2SeqAttentionImpl::KeysAndValues Seq2SeqAttentionImpl::keys_and_values(
    const at::Tensor& x) const {
  return {heads(x, key_), heads(x, value_)};
}

at::Tensor Seq2SeqAttentionImpl::attend_with(const at::Tensor& x, const KeysAndValues& keys,
                                             const AttentionMask& mask) {
  const AttentionOptions options{.scale = sizes_.scale,
                                 .dropout = is_training() ? sizes_.dropout : 0.0};
  return project(attend(heads(x, query_), keys.first, keys.second, mask, options), output_);
}

at::Tensor Seq2SeqAttentionImpl::to_itself(const at::Tensor& x, const Seq2SeqContext& context) {
  auto keys = keys_and_values(x);
  if (context.cache != nullptr) {
    keys = context.cache->self_attention->append(layer_, keys.first, keys.second);
  }
  return attend_with(x, keys, context.own);
}

at::Tensor Seq2SeqAttentionImpl::to_source(const at::Tensor& x, const Seq2SeqContext& context) {
  auto* cache = context.cache == nullptr ? nullptr : context.cache->cross_attention.get();
  if (cache == nullptr) return attend_with(x, keys_and_values(context.states), context.source);
  auto keys = cache->layer(layer_);
  if (!keys.first.defined()) {
    const auto [made_keys, made_values] = keys_and_values(context.states);
    keys = cache->append(layer_, made_keys, made_values);
  }
  return attend_with(x, keys, context.source);
}

at::Tensor recompute_layer(
    std::function<at::Tensor(const at::Tensor&, const Seq2SeqContext&)> layer,
    std::function<Seq2SeqContext()> make_context, const at::Tensor& x, const at::Tensor& states) {
  return checkpoint(
      [layer = std::move(layer), make_context = std::move(make_context)](const at::Tensor& y,
                                                                         const at::Tensor& shared) {
        auto context = make_context();
        context.states = shared;
        return layer(y, context);
      },
      x, states);
}

}  // namespace peft
