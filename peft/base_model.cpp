#include "peft/base_model.h"

#include "peft/adapter/site.h"
#include "peft/models/common/language_model.h"
#include "peft/tensor/module_kind.h"

namespace peft {
namespace {

constexpr const char* kHead = "lm_head";

// The name of a head that has no weight of its own. The model computes with the shared tensor.
class TiedHead final : public torch::nn::Module, public DeclaresWeightUse {
 public:
  explicit TiedHead(const at::Tensor& weight) {
    register_parameter("weight", weight, weight.requires_grad());
  }
  WeightUse weight_use() const override { return WeightUse::kLinear; }
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

}  // namespace

ModelFacts prepare_base_model(const ModelTree& tree) {
  ModelFacts facts;
  auto* model = dynamic_cast<LanguageModelImpl*>(tree.native_root().get());
  if (model == nullptr) return facts;
  const Json& config = model->config();
  facts.is_pretrained = true;
  facts.model_type = config_value<std::string>(config, "model_type").value_or("custom");
  facts.vocab_size = config_value<int64_t>(config, "vocab_size");
  facts.input_embedding = first_embedding(tree);
  facts.output_head = kHead;
  const auto children = model->named_children();
  if (!children.contains(kHead)) {
    model->register_module(kHead, std::make_shared<TiedHead>(model->head_weight()));
    facts.tied_head = true;
  }
  return facts;
}

void release_base_model(const ModelTree& tree) {
  if (!tree.native_root()) return;
  const auto children = tree.native_root()->named_children();
  const auto* head = children.find(kHead);
  if (head != nullptr && std::dynamic_pointer_cast<TiedHead>(*head)) {
    tree.native_root()->unregister_module(kHead);
  }
}

}  // namespace peft
