#include "peft/auto_peft_model.h"

#include "peft/adapter_folder.h"
#include "peft/base/error.h"
#include "peft/base/json_text.h"
#include "peft/base/text.h"
#include "peft/hub/resolve.h"

namespace peft {
namespace {

namespace fs = std::filesystem;

// The config decides on the base; one that the caller gives is the adapter's, as in Python.
PeftConfig config_of(const fs::path& place, const AutoPeftOptions& options) {
  return read_adapter_config(place, options.adapter.source);
}

// For a place that was found already.
FromPretrainedOptions options_in_place(const AutoPeftOptions& options) {
  FromPretrainedOptions there = options.adapter;
  there.source.subfolder.clear();
  there.source.kwargs = split_kwargs(there.source.kwargs).others;
  return there;
}

// A tokenizer that came with the adapter may have tokens that the base has no embeddings for.
void check_vocabulary(const fs::path& folder, const PretrainedModelImpl& model) {
  std::error_code error;
  if (!fs::exists(folder / "tokenizer_config.json", error) ||
      !fs::exists(folder / "tokenizer.json", error)) {
    return;
  }
  const auto text = ChatTokenizer::open(folder);
  const auto tokens = static_cast<int64_t>(text->tokenizer().vocab_size());
  const int64_t rows = model.shape().vocab;
  if (tokens <= rows) return;
  throw UnsupportedError(folder.string() + ": the tokenizer has " + std::to_string(tokens) +
                         " tokens: expected at most the base model's " + std::to_string(rows) +
                         " embeddings, as this library does not resize them. Save a base model "
                         "with resized embeddings and load the adapter on it.");
}

PretrainedModel open_base(const PeftConfig& config, const fs::path& folder, ModelTask task,
                          const AutoPeftOptions& options) {
  const auto* named = config.shared().base_model_name_or_path;
  if (named == nullptr || !*named || (*named)->empty()) {
    throw ConfigError((folder / "adapter_config.json").string() +
                      ": base_model_name_or_path: expected the base model, got null. Open the base "
                      "yourself and call from_pretrained of the class of its task.");
  }
  AutoOptions base = options.base;
  base.warn_of_new_head = false;  // the adapter brings it
  const bool classifies =
      task == ModelTask::kSequenceClassification || task == ModelTask::kTokenClassification;
  if (classifies && !base.config.contains("num_labels")) {
    if (const auto labels = saved_num_labels(folder)) base.config["num_labels"] = *labels;
  }
  PretrainedModel model =
      load_model(formats::Checkpoint::open(hub::model_folder(**named)), task, base);
  check_vocabulary(folder, *model);
  return model;
}

// An adapter of another task would be put on a model that it was not trained on.
template <typename Adapted, typename Model>
Adapted open_adapted(const fs::path& name_or_folder, std::string_view task_type, ModelTask task,
                     const AutoPeftOptions& options) {
  const fs::path folder = adapter_place(name_or_folder, options.adapter.source);
  const PeftConfig config = config_of(folder, options);
  const auto* type = config.shared().task_type;
  if (type != nullptr && *type && **type != task_type) {
    throw ConfigError((folder / "adapter_config.json").string() + ": task_type: expected " +
                      std::string(task_type) + ", got " + quote(**type) +
                      ". Make sure that you are loading the correct model for your task type.");
  }
  return Adapted::from_pretrained(
      std::dynamic_pointer_cast<Model>(open_base(config, folder, task, options)), folder,
      options_in_place(options));
}

// Names such as LlamaForCausalLM, and the classes of this library.
bool is_language_model(const Json& mapping) {
  const auto name = mapping.find("base_model_class");
  return name != mapping.end() && name->is_string() &&
         (name->get<std::string>().ends_with("ForCausalLM") ||
          mapping.value("parent_library", Json()) == "peft_cpp");
}

}  // namespace

PeftModelForCausalLM AutoPeftModelForCausalLM::from_pretrained(const fs::path& name_or_folder,
                                                               const AutoPeftOptions& options) {
  return open_adapted<PeftModelForCausalLM, LanguageModelImpl>(name_or_folder, "CAUSAL_LM",
                                                               ModelTask::kCausalLM, options);
}

PeftModelForSeq2SeqLM AutoPeftModelForSeq2SeqLM::from_pretrained(const fs::path& name_or_folder,
                                                                 const AutoPeftOptions& options) {
  return open_adapted<PeftModelForSeq2SeqLM, Seq2SeqModelImpl>(name_or_folder, "SEQ_2_SEQ_LM",
                                                               ModelTask::kSeq2SeqLM, options);
}

PeftModelForSequenceClassification AutoPeftModelForSequenceClassification::from_pretrained(
    const fs::path& name_or_folder, const AutoPeftOptions& options) {
  return open_adapted<PeftModelForSequenceClassification, TaskModelImpl>(
      name_or_folder, "SEQ_CLS", ModelTask::kSequenceClassification, options);
}

PeftModelForTokenClassification AutoPeftModelForTokenClassification::from_pretrained(
    const fs::path& name_or_folder, const AutoPeftOptions& options) {
  return open_adapted<PeftModelForTokenClassification, TaskModelImpl>(
      name_or_folder, "TOKEN_CLS", ModelTask::kTokenClassification, options);
}

PeftModelForQuestionAnswering AutoPeftModelForQuestionAnswering::from_pretrained(
    const fs::path& name_or_folder, const AutoPeftOptions& options) {
  return open_adapted<PeftModelForQuestionAnswering, TaskModelImpl>(
      name_or_folder, "QUESTION_ANS", ModelTask::kQuestionAnswering, options);
}

PeftModelForFeatureExtraction AutoPeftModelForFeatureExtraction::from_pretrained(
    const fs::path& name_or_folder, const AutoPeftOptions& options) {
  return open_adapted<PeftModelForFeatureExtraction, EncoderModelImpl>(
      name_or_folder, "FEATURE_EXTRACTION", ModelTask::kBody, options);
}

std::optional<int64_t> saved_num_labels(const fs::path& folder) {
  std::optional<int64_t> labels;
  for (const auto& [name, tensor] : read_adapter_weights(folder)) {
    const bool scores =
        name.ends_with("classifier.weight") || name.ends_with("classifier.out_proj.weight") ||
        name.ends_with("classification_head.out_proj.weight") || name.ends_with("score.weight");
    if (scores && !name.ends_with("pre_classifier.weight")) labels = tensor.size(0);
  }
  return labels;
}

PeftModelFor<LanguageModel> AutoPeftModel::from_pretrained(const fs::path& name_or_folder,
                                                           const AutoPeftOptions& options) {
  const fs::path folder = adapter_place(name_or_folder, options.adapter.source);
  const PeftConfig config = config_of(folder, options);
  const SharedFields fields = config.shared();
  const std::string where = (folder / "adapter_config.json").string();
  if (fields.task_type != nullptr && *fields.task_type) {
    throw ConfigError(where + ": task_type: expected null, as AutoPeftModel takes no task, got " +
                      quote(**fields.task_type) +
                      ". Use the class of that task, such as AutoPeftModelForCausalLM.");
  }
  if (fields.auto_mapping == nullptr || !fields.auto_mapping->is_object()) {
    throw ConfigError(where +
                      ": auto_mapping: expected the class of the base model, got none. Open the "
                      "base yourself and call PeftModel::from_pretrained.");
  }
  if (!is_language_model(*fields.auto_mapping)) {
    throw UnsupportedError(where + ": auto_mapping: expected a language model, got " +
                           dump_json(*fields.auto_mapping, {.indent = std::nullopt}) +
                           ". Build that model and call PeftModel::from_pretrained.");
  }
  return PeftModel::from_pretrained(std::dynamic_pointer_cast<LanguageModelImpl>(
                                        open_base(config, folder, ModelTask::kCausalLM, options)),
                                    folder, options_in_place(options));
}

}  // namespace peft
