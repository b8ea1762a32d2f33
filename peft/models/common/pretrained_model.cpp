#include "peft/models/common/pretrained_model.h"

#include "peft/base/error.h"
#include "peft/models/common/static_cache.h"

namespace peft {

std::string_view task_name(ModelTask task) {
  switch (task) {
    case ModelTask::kBody:
      return "the body without a head";
    case ModelTask::kCausalLM:
      return "causal language modelling";
    case ModelTask::kSeq2SeqLM:
      return "sequence-to-sequence language modelling";
    case ModelTask::kSequenceClassification:
      return "sequence classification";
    case ModelTask::kTokenClassification:
      return "token classification";
    case ModelTask::kQuestionAnswering:
      return "question answering";
    case ModelTask::kImageClassification:
      return "image classification";
  }
  return "";
}

// BERT's first checkpoints have the names of their first implementation.
std::string PretrainedModelImpl::renamed_key(const std::string& key) const {
  for (const auto& [old, now] : {std::pair("LayerNorm.gamma", "LayerNorm.weight"),
                                 std::pair("LayerNorm.beta", "LayerNorm.bias")}) {
    if (!key.ends_with(old)) continue;
    return key.substr(0, key.size() - std::string_view(old).size()) + now;
  }
  return key;
}

bool PretrainedModelImpl::may_lack(const std::string&) const { return false; }

bool PretrainedModelImpl::may_ignore(const std::string&) const { return false; }

void PretrainedModelImpl::meet(const WeightSource&) {}

void PretrainedModelImpl::untie_head(const at::Tensor&) {
  throw UnsupportedError("untie_head: expected a model with a head that scores tokens, got " +
                         name() + ", which has none.");
}

std::function<void()> PretrainedModelImpl::replicate_layers(const LayerRanges&) {
  throw UnsupportedError(
      "layer_replication: could not locate the layers of the model: expected a "
      "family that can stack them again, as llama, got " +
      name() + ". Set layer_replication to null.");
}

std::unique_ptr<KeyValueCache> PretrainedModelImpl::new_cache() const {
  throw UnsupportedError("key/value cache: expected a model with one, got " + name() +
                         ", which has none. Prefixes, which are kept in a cache, do not fit it.");
}

std::unique_ptr<KeyValueCache> PretrainedModelImpl::new_static_cache(int64_t max_length) const {
  return std::make_unique<StaticCache>(shape().layers, max_length);
}

}  // namespace peft
