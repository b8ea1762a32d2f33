#pragma once

#include <torch/nn/modules/linear.h>

#include <string>

#include "peft/models/common/activation.h"
#include "peft/models/common/attention.h"
#include "peft/models/common/checkpointing.h"
#include "peft/models/common/encoder_model.h"

/// What the blocks of encoders share, under whatever names a family gives its layers.
/// Legend: B rows, T tokens, H heads, D head width.
namespace peft {

/// What all blocks of one forward see.
struct EncoderContext {
  AttentionMask mask = {};
  KeyValueCache* cache = nullptr;  // not owned
};

/// The context of a call whose tokens are embedded already.  embedded [B, T, hidden]
/// Throws: ConfigError where the mask's shape does not fit.
EncoderContext make_encoder_context(const EncoderInput& input, const at::Tensor& embedded);

/// Whether a key is of the numbers 0, 1, 2, ... of the positions, which old checkpoints have.
/// Source: PreTrainedModel._adjust_missing_and_unexpected_keys in transformers.
bool is_position_buffer(const std::string& key);

/// Throws: ConfigError where positions up to before `end` are more than the model has.
void check_positions(int64_t end, int64_t max_position_embeddings);

/// The projections of an attention layer.
struct EncoderAttention {
  const torch::nn::Linear &query, &key, &value;  // hidden -> H * D
  int64_t heads = 1;
  int64_t layer = 0;     // its keys' and values' place in a cache
  double dropout = 0.0;  // of the attention's weights; 0 outside of training
};

/// Attention of all tokens to all tokens, and to those of the cache.  x [B, T, hidden]
/// -> [B, T, H * D], before the output's projection
at::Tensor attend_to_all(const at::Tensor& x, const EncoderAttention& attention,
                         const EncoderContext& context);

/// second(activation(first(x)))
at::Tensor feed_forward(const at::Tensor& x, const torch::nn::Linear& first, Activation activation,
                        const torch::nn::Linear& second);

/// x through blocks, one after the other; each is computed again in backward where `recompute`.
template <typename Block>
at::Tensor run_blocks(at::Tensor x, const std::vector<Block>& blocks, const EncoderContext& context,
                      bool recompute) {
  for (Block block : blocks) {
    auto run = [block, context](const at::Tensor& y) mutable { return block->forward(y, context); };
    x = recompute && context.cache == nullptr ? checkpoint(run, x) : run(x);
  }
  return x;
}

}  // namespace peft
