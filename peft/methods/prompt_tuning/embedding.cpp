#include "peft/methods/prompt_tuning/embedding.h"

#include <ATen/ATen.h>

#include "peft/adapter/prompt_init.h"

namespace peft {
namespace {

PromptInit beginning(const PromptTuningConfig& config) {
  // A prompt of a file has values of its own.
  if (config.inference_mode) return {.word = "RANDOM"};
  return {.word = config.prompt_tuning_init,
          .text = config.prompt_tuning_init_text,
          .tokenizer = config.tokenizer_name_or_path,
          .tokenizer_kwargs = config.tokenizer_kwargs};
}

}  // namespace

PromptEmbedding::PromptEmbedding(const PromptTuningConfig& config, const PromptFacts& facts) {
  const int64_t rows = *config.num_virtual_tokens * *config.num_transformer_submodules;
  const at::Tensor values = initial_prompt(beginning(config), rows, *config.token_dim, facts);
  embedding_ = register_module(
      "embedding",
      torch::nn::Embedding(torch::nn::EmbeddingOptions(rows, *config.token_dim)._weight(values)));
}

at::Tensor PromptEmbedding::forward(const at::Tensor&) { return embedding_->weight.unsqueeze(0); }

std::vector<PromptPlace> PromptEmbedding::places() {
  return {{"prompt_embeddings", {embedding_->weight}}};
}

}  // namespace peft
