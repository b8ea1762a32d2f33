#include "cli/merged_checkpoint.h"

#include <map>
#include <memory>

#include "cli/gguf_tokenizer_json.h"
#include "peft/adapter/merged_weights.h"
#include "peft/adapter/tag.h"
#include "peft/base/file.h"
#include "peft/base/json_text.h"
#include "peft/base/mapped_file.h"
#include "peft/formats/checkpoint_writer.h"
#include "peft/tensor/dtype.h"
#include "peft/tensor/state_dict.h"

namespace peft::cli {

namespace {

/// The class name by which transformers finds a model's code.
/// Source: MODEL_FOR_CAUSAL_LM_MAPPING_NAMES in transformers/models/auto/modeling_auto.py.
std::string architecture_of(const std::string& model_type) {
  static const std::map<std::string, std::string> names = {
      {"llama", "LlamaForCausalLM"},     {"mistral", "MistralForCausalLM"},
      {"qwen2", "Qwen2ForCausalLM"},     {"qwen3", "Qwen3ForCausalLM"},
      {"gpt2", "GPT2LMHeadModel"},       {"opt", "OPTForCausalLM"},
      {"gpt_neox", "GPTNeoXForCausalLM"}};
  const auto found = names.find(model_type);
  return found == names.end() ? "" : found->second;
}

/// Every parameter of the base once, as it is registered: a tied head is the embedding.
NamedTensors parameters_of(const ModelTree& tree) {
  NamedTensors parameters;
  for (const ModuleEntry& module : tree.modules()) {
    for (const auto& [name, tensor] : own_parameters(module)) {
      parameters.emplace_back(join_name(module.name, name), tensor);
    }
  }
  return parameters;
}

/// Merges a weight when it is about to be written; of a mapped base no more than two weights are in
/// memory at a time. The base is not to be used any more.
formats::ValueOf merged_values(const Tuner& tuner, bool safe, const LayerProgress& progress) {
  const auto merged = std::make_shared<MergedWeights>(tuner, std::vector<std::string>{}, safe);
  std::map<std::string, at::Tensor> parameters;
  for (const auto& [name, tensor] : parameters_of(tuner.tree())) parameters.emplace(name, tensor);
  const auto last = std::make_shared<at::Tensor>();
  const auto done = std::make_shared<int64_t>(0);
  return [=](const std::string& name, const at::Tensor& plain) {
    if (last->defined()) {
      MappedFile::release({static_cast<const std::byte*>(last->const_data_ptr()), last->nbytes()});
    }
    *last = plain;
    if (progress) progress(++*done, static_cast<int64_t>(parameters.size()));
    return merged->value_of(parameters.at(name));
  };
}

Json config_of(const LanguageModelImpl& model, const StateDict& weights) {
  Json config = model.config();
  if (!config.contains("architectures")) {
    const std::string name = architecture_of(config.value("model_type", ""));
    if (!name.empty()) config["architectures"] = Json::array({name});
  }
  config.erase("torch_dtype");
  config.erase("quantization_config");
  if (!weights.empty())
    config["dtype"] = std::string(dtype_name(weights.begin()->second.scalar_type()));
  return config;
}

}  // namespace

MergedReport write_merged_checkpoint(const std::filesystem::path& folder,
                                     PeftModelForCausalLM& adapted,
                                     const formats::Checkpoint& origin,
                                     const MergeCheckpointOptions& options) {
  const LanguageModel model = adapted.get_base_model();
  formats::ValueOf value_of;
  if (MergedWeights::can_be_made(adapted.tuner())) {
    value_of = merged_values(adapted.tuner(), options.safe, options.progress);
  } else {
    adapted.merge_and_unload(options.safe, {}, options.progress);
  }
  StateDict weights;
  for (const auto& [name, tensor] : parameters_of(ModelTree(model))) {
    weights.set(name, base(tensor).detach());
  }
  formats::CheckpointParts parts{.config = config_of(*model, weights),
                                 .generation_config = origin.generation_config(),
                                 .tokenizer_config = origin.tokenizer_config(),
                                 .chat_template = origin.chat_template()};
  if (const auto file = origin.tokenizer_file()) {
    parts.tokenizer = read_text_file(*file);
  } else if (auto files = tokenizer_files_of_gguf(origin.gguf_metadata(), origin.path().string())) {
    parts.tokenizer = std::move(files->tokenizer);
    parts.tokenizer_config = std::move(files->config);
  }
  ensure_folder(folder);
  formats::write_checkpoint(folder, weights, parts, value_of);
  return {.tensors = weights.size(), .has_tokenizer = parts.tokenizer.has_value()};
}

}  // namespace peft::cli
