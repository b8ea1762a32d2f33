#include "peft/methods/cpt/embedding.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <set>

#include "peft/base/error.h"

namespace peft {
namespace {

at::Tensor embeddings_of(const std::vector<int64_t>& ids, const PromptFacts& facts) {
  for (const int64_t id : ids) {
    if (id >= 0 && id < facts.vocab) continue;
    throw ConfigError("cpt_token_ids: expected tokens from 0 to " +
                      std::to_string(facts.vocab - 1) + ", got " + std::to_string(id) +
                      ". Name tokens of the base model.");
  }
  return facts.embed(at::tensor(ids, at::kLong)).detach().to(at::kFloat, false, true);
}

// 1 where a token may move: inputs, and the words around inputs and outputs.  -> [N, 1]
at::Tensor moving(const std::vector<int64_t>& types) {
  return at::tensor(types, at::kLong).remainder(4).ne(0).to(at::kFloat).unsqueeze(1);
}

// Of the last example every label counts in full, of each one before it `factor` times as much.
at::Tensor decayed(const at::Tensor& types, const at::Tensor& labels, double factor) {
  at::Tensor weights = at::ones(types.sizes(), types.options().dtype(at::kFloat));
  const at::Tensor predicted = types.narrow(1, 1, types.size(1) - 1).to(at::kCPU).contiguous();
  for (int64_t row = 0; row < types.size(0); ++row) {
    const auto* begin = predicted[row].const_data_ptr<int64_t>();
    std::set<int64_t, std::greater<>> kinds;
    std::copy_if(begin, begin + predicted.size(1), std::inserter(kinds, kinds.end()),
                 [](int64_t type) { return type > 0 && type % 4 == 0; });
    double weight = 1.0;
    for (const int64_t kind : kinds) {
      weights[row].masked_fill_(types[row].eq(kind), weight);
      weight *= factor;
    }
  }
  return weights * labels.ne(-100);
}

}  // namespace

CPTEmbedding::CPTEmbedding(const CPTConfig& config, const PromptFacts& facts) : config_(config) {
  const at::NoGradGuard no_grad;
  const int64_t tokens = *config.num_virtual_tokens, width = *config.token_dim;
  embedding_ = register_module("embedding", torch::nn::Embedding(tokens, width));
  if (!config.inference_mode) {
    embedding_->weight.copy_(embeddings_of(*config.cpt_token_ids, facts));
  }
  embedding_->weight.requires_grad_(false);
  delta_embedding_ = register_module("delta_embedding", torch::nn::Embedding(tokens, width));
  delta_embedding_->weight.zero_();
  const at::Tensor moves = moving(*config.cpt_tokens_type_mask);
  delta_embedding_->weight.register_hook(
      [moves](const at::Tensor& grad) { return grad * moves.to(grad.device()); });
  labels_.token_ids = *config.cpt_token_ids;
  labels_.types = *config.cpt_tokens_type_mask;
  labels_.weigh = [decays = config.opt_weighted_loss_type == "decay",
                   factor = config.opt_loss_decay_factor](const at::Tensor& types,
                                                          const at::Tensor& labels) {
    return decays ? decayed(types, labels, factor) : labels.ne(-100).to(at::kFloat);
  };
}

// The length that each change may have.  -> [N] float32
at::Tensor CPTEmbedding::longest_changes() const {
  constexpr double kNothing = 1e-10;
  const at::Tensor scale = at::full({1}, static_cast<double>(*config_.token_dim) / 2048.0).sqrt();
  const at::Tensor types = at::tensor(*config_.cpt_tokens_type_mask, at::kLong);
  const at::Tensor kind = at::where(types.gt(0), types.remainder(4), at::zeros_like(types));
  at::Tensor longest = at::full(types.sizes(), kNothing, at::kFloat);
  longest = at::where(kind.eq(1).logical_or(kind.eq(3)),
                      scale * config_.opt_projection_format_epsilon, longest);
  return at::where(kind.eq(2), scale * config_.opt_projection_epsilon, longest);
}

at::Tensor CPTEmbedding::forward(const at::Tensor&) {
  if (config_.inference_mode) return embedding_->weight.unsqueeze(0);
  const at::Tensor& change = delta_embedding_->weight;
  {
    const at::NoGradGuard no_grad;
    const at::Tensor longest = longest_changes().to(change.device(), change.scalar_type());
    const at::Tensor length = change.norm(2, 1);
    const at::Tensor factor =
        at::where(length.gt(0), longest / at::maximum(length, longest), at::ones_like(length));
    change.mul_(factor.unsqueeze(1));
  }
  return (embedding_->weight.detach() + change).unsqueeze(0);
}

std::vector<PromptPlace> CPTEmbedding::places() {
  PromptPlace place{.name = "prompt_embeddings", .parameters = {embedding_->weight}};
  if (delta_embedding_->weight.detach().ne(0).any().item<bool>()) {
    place.obstacle =
        "a file cannot fill a prompt that has learned: expected one without changes, got one whose "
        "tokens have moved, and the file holds where they are. Load the file under a new name.";
  }
  return {place};
}

}  // namespace peft
