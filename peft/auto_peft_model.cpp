#include "peft/auto_peft_model.h"

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
void check_vocabulary(const fs::path& folder, const LanguageModelImpl& model) {
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

LanguageModel open_base(const PeftConfig& config, const fs::path& folder,
                        const AutoPeftOptions& options) {
  const auto* named = config.shared().base_model_name_or_path;
  if (named == nullptr || !*named || (*named)->empty()) {
    throw ConfigError((folder / "adapter_config.json").string() +
                      ": base_model_name_or_path: expected the base model, got null. Open the base "
                      "yourself and call PeftModelForCausalLM::from_pretrained.");
  }
  const std::shared_ptr<formats::Checkpoint> checkpoint =
      formats::Checkpoint::open(hub::model_folder(**named));
  LanguageModel model = load_language_model(checkpoint, options.base);
  check_vocabulary(folder, *model);
  return model;
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
  const fs::path folder = adapter_place(name_or_folder, options.adapter.source);
  const PeftConfig config = config_of(folder, options);
  const auto* task = config.shared().task_type;
  if (task != nullptr && *task && **task != "CAUSAL_LM") {
    throw ConfigError((folder / "adapter_config.json").string() +
                      ": task_type: expected CAUSAL_LM, got " + quote(**task) +
                      ". Make sure that you are loading the correct model for your task type.");
  }
  return PeftModelForCausalLM::from_pretrained(open_base(config, folder, options), folder,
                                               options_in_place(options));
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
  return PeftModel::from_pretrained(open_base(config, folder, options), folder,
                                    options_in_place(options));
}

}  // namespace peft
