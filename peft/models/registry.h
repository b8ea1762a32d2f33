#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "peft/models/common/language_model.h"

namespace peft {

/// How a model is built.
struct ModelOptions {
  at::ScalarType dtype = at::kFloat;
  at::Device device = at::kCPU;
};

/// Builds the model that a checkpoint's config.json describes, for a task. Its parameters hold no
/// values yet and require no gradient: give them some with load_weights. It is a LanguageModelImpl
/// for kCausalLM, a Seq2SeqModelImpl for kSeq2SeqLM, an EncoderModelImpl for kBody (an
/// ImageModelImpl where it looks at images; of T5 the encoder alone where `architectures` names
/// T5EncoderModel), an ImageClassifierImpl for kImageClassification, else
/// a TaskModelImpl.
/// Throws: UnsupportedError that lists the known model types, or says that the family has no model
/// for the task; ConfigError (a wrong config).
PretrainedModel make_model(const Json& config, ModelTask task, const ModelOptions& options = {});

/// The same for the task kCausalLM.
LanguageModel make_language_model(const Json& config, const ModelOptions& options = {});

/// Every `model_type` that make_model knows, in the order of families.def.
std::vector<std::string> known_model_types();

}  // namespace peft
