#pragma once

#include "peft/adapter/model_facts.h"
#include "peft/adapter/model_tree.h"
#include "peft/models/common/pretrained_model.h"

namespace peft {

/// What adapters have to know of a model. A language model whose head is its embedding gets a
/// module `lm_head` that shares the weight, so that the head has its name, as in transformers.
ModelFacts prepare_base_model(const ModelTree& tree);

/// Embeddings of tokens that lie on any device, where the model's own are.
///   ids [B, T] -> [B, T, hidden]
at::Tensor embed_there(PretrainedModelImpl& model, const at::Tensor& ids);

/// Takes that module out again. Where head and embedding have parted since (a copy of
/// modules_to_save stayed), the model gets a head of its own, with a warning.
void release_base_model(const ModelTree& tree);

}  // namespace peft
