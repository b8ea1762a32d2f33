#include "peft/base_model.h"

#include <algorithm>

#include "peft/adapter/site.h"
#include "peft/adapter_folder.h"
#include "peft/base/warnings.h"
#include "peft/formats/safetensors_file.h"
#include "peft/formats/torch_checkpoint_file.h"
#include "peft/models/common/language_model.h"
#include "peft/models/common/seq2seq_model.h"
#include "peft/prompt_tokenizer.h"
#include "peft/tensor/module_kind.h"

namespace peft {
namespace {

// The name of a head that has no weight of its own. The model computes with the shared tensor.
class TiedHead final : public torch::nn::Module, public DeclaresWeightUse, public AdoptsWeight {
 public:
  explicit TiedHead(const at::Tensor& weight) {
    register_parameter("weight", weight, weight.requires_grad());
  }
  WeightUse weight_use() const override { return WeightUse::kLinear; }
  void adopt_weight(const at::Tensor& weight) override { parameters_["weight"] = weight; }
  const at::Tensor& weight() const { return parameters_["weight"]; }
};

template <typename Value>
std::optional<Value> config_value(const Json& config, const char* key) {
  const auto found = config.find(key);
  if (found == config.end() || found->is_null()) return std::nullopt;
  return found->get<Value>();
}

std::string first_embedding(const ModelTree& tree) {
  for (const ModuleEntry& module : tree.modules()) {
    if (is_embedding(module)) return module.name;
  }
  return {};
}

StateDict read_prompt_tensors(const std::string& path) {
  if (path.ends_with(".safetensors")) return formats::SafetensorsFile(path).load_all();
  return formats::read_torch_file(path);
}

PromptFacts prompt_facts(PretrainedModelImpl& model) {
  const ModelShape shape = model.shape();
  const auto* seq2seq = dynamic_cast<const Seq2SeqModelImpl*>(&model);
  const int64_t cache_layers = seq2seq ? seq2seq->decoder_layers() : shape.layers;
  return {.layers = shape.layers,
          .heads = shape.heads,
          .kv_heads = shape.kv_heads,
          .head_dim = shape.head_dim,
          .hidden = shape.hidden,
          .vocab = shape.vocab,
          .embedding = shape.embedding > 0 ? shape.embedding : shape.hidden,
          .cache_layers = cache_layers,
          .embed = [&model](const at::Tensor& ids) { return embed_there(model, ids); },
          .recomputes = [&model] { return model.is_gradient_checkpointing(); },
          .tokenize = tokens_of_init_text,
          .read_tensors = read_prompt_tensors};
}

}  // namespace

ModelFacts prepare_base_model(const ModelTree& tree) {
  ModelFacts facts;
  auto* model = dynamic_cast<PretrainedModelImpl*>(tree.native_root().get());
  if (model == nullptr) return facts;
  const Json& config = model->config();
  facts.is_pretrained = true;
  facts.model_type = config_value<std::string>(config, "model_type").value_or("custom");
  if (!model->name_or_path().empty()) facts.name_or_path = model->name_or_path();
  facts.vocab_size = config_value<int64_t>(config, "vocab_size");
  if (config.contains("quantization_config")) {
    facts.quantization_config = config["quantization_config"];
  }
  facts.input_embedding = first_embedding(tree);
  facts.output_head = model->head_name();
  facts.prompts = prompt_facts(*model);
  facts.replicate_layers = [model](const LayerRanges& ranges) {
    return model->replicate_layers(ranges);
  };
  if (facts.output_head.empty() || model->named_children().contains(facts.output_head)) {
    return facts;
  }
  model->register_module(facts.output_head, std::make_shared<TiedHead>(model->head_weight()));
  facts.tied_head = true;
  return facts;
}

// The embedding is what a model registers first.
at::Tensor embed_there(PretrainedModelImpl& model, const at::Tensor& ids) {
  const auto parameters = model.parameters();
  return model.embed(parameters.empty() ? ids : ids.to(parameters.front().device()));
}

void release_base_model(const ModelTree& tree) {
  auto* model = dynamic_cast<PretrainedModelImpl*>(tree.native_root().get());
  if (model == nullptr) return;
  const auto children = model->named_children();
  const auto* child = children.find(model->head_name());
  const auto head = child ? std::dynamic_pointer_cast<TiedHead>(*child) : nullptr;
  if (!head) return;
  model->unregister_module(model->head_name());
  if (head->weight().is_same(model->head_weight())) return;
  warn(
      "Input and output embeddings are no longer tied after merging. Setting "
      "`tie_word_embeddings=False` in the model config.");
  model->untie_head(head->weight());
}

}  // namespace peft
