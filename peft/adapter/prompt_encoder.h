#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <functional>
#include <string>
#include <vector>

#include "peft/adapter/config.h"
#include "peft/adapter/prompt_facts.h"
#include "peft/tensor/state_dict.h"

namespace peft {

/// Where a tensor of a prompt's file goes: its rows fill these parameters, one after the other.
struct PromptPlace {
  std::string name;  // the key of the file
  std::vector<at::Tensor> parameters;
  std::string obstacle = {};  // why they cannot be had from it; empty: they can

  /// The shape that the file's tensor has to have.
  std::vector<int64_t> shape() const;
};

/// Labels of the prompt's own tokens, for a method that learns to predict them too. Legend: B rows,
/// N virtual tokens, T tokens.
struct PromptLabels {
  std::vector<int64_t> token_ids = {};  // [N]
  std::vector<int64_t> types = {};      // [N]: multiples of 4 above 0 are labels
  /// How much each label counts.  types [B, N + T], labels [B, N + T] -> [B, N + T] float32
  std::function<at::Tensor(const at::Tensor& types, const at::Tensor& labels)> weigh = {};
};

/// What learns a prompt: a module whose output is put before the tokens of every row. Legend: N
/// virtual tokens, W the width of the model, or of a token's keys and values in all layers.
///
/// Source: BasePromptEncoder in peft/tuners/tuners_utils.py.
class BasePromptEncoder : public torch::nn::Module {
 public:
  /// The prompt of all rows, or one a row where the method tells tasks apart.
  ///   task_ids [B] int64, or undefined -> [1, N, W] or [B, N, W]
  /// Throws: ConfigError where the method needs task_ids and there are none, or wrong ones.
  virtual at::Tensor forward(const at::Tensor& task_ids) = 0;

  /// What a file keeps instead of the encoder.  -> [N, W], without a graph.
  virtual at::Tensor prompt_embeddings() { return forward({}).select(0, 0).detach(); }

  /// The tensors of a file.
  virtual StateDict state() {
    StateDict tensors;
    tensors.set("prompt_embeddings", prompt_embeddings());
    return tensors;
  }

  /// The parameters that a file fills.
  virtual std::vector<PromptPlace> places() = 0;

  /// Null: the prompt's own tokens have no labels.
  virtual const PromptLabels* labels() const { return nullptr; }
};

/// Fills an encoder with what get_prompt_embedding_to_save gives.  embeddings [N, W]
/// Throws: MismatchError for another shape, UnsupportedError where they do not tell its parameters.
/// Source: load_prompt_embeddings in peft/tuners/{prefix_tuning,cartridge}/model.py.
void load_prompt_embeddings(BasePromptEncoder& encoder, const at::Tensor& embeddings);

}  // namespace peft
