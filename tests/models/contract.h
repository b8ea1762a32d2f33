#pragma once

#include <optional>
#include <string>
#include <vector>

#include "peft/models/common/pretrained_model.h"
#include "tests/models/golden_file.h"

namespace peft::test {

/// What a model of any task may be given.
struct ContractInput {
  at::Tensor ids = {}, embeds = {}, mask = {}, types = {}, positions = {};
  at::Tensor decoder_ids = {}, decoder_mask = {};
  at::Tensor pixels = {};
  bool interpolate_pos_encoding = false;
  KeyValueCache* cache = nullptr;
};

/// One file of tests/models/contract: a tiny model of some family and task, as Python ran it.
struct Contract {
  GoldenFile file;
  ModelTask task = ModelTask::kBody;

  bool has(const std::string& name) const { return file.tensors.contains(name); }
  const at::Tensor& operator[](const std::string& name) const { return file[name]; }

  static Contract read(const std::string& name);

  bool reads_text() const { return has("ids"); }
  /// Of models that look for end tokens Python has no gradient of embeddings: they take none.
  bool takes_embeddings() const { return has("gradient/inputs_embeds"); }
  const Json& config() const { return file.config; }

  /// What is the same in every run of the model: its decoder's tokens, or pixels.
  ContractInput input() const;
  /// Tokens whose rows are padded on the right, or pixels: what right_logits or logits belong to.
  ContractInput padded_input() const;

  /// The model with its weights, in eval mode, parameters frozen.
  /// Throws: std::runtime_error where a key of the checkpoint has no place in it.
  PretrainedModel model(at::ScalarType dtype = at::kFloat) const;
};

/// Names of all files.
std::vector<std::string> contract_names();

/// Its scores; of a body the hidden states.
at::Tensor scores(PretrainedModelImpl& model, const ContractInput& input);

}  // namespace peft::test
