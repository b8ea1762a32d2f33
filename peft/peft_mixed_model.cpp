#include "peft/peft_mixed_model.h"

#include "peft/base/error.h"

namespace peft {
namespace {

[[noreturn]] void refuse(const std::string& what, const std::string& instead) {
  throw UnsupportedError(what +
                         ": it is not served for a PeftMixedModel: expected a model whose adapters "
                         "are of one method, got one that mixes methods. " +
                         instead);
}

// Only adapters that join later, or are loaded, get a type of their own.
PeftModelOptions in_type_of_base(PeftModelOptions options) {
  options.autocast_adapter_dtype = false;
  return options;
}

}  // namespace

PeftMixedModel::PeftMixedModel(ModelTree tree, PeftConfig config, const PeftModelOptions& options)
    : PeftModel(std::move(tree), std::move(config), in_type_of_base(options), {.is_mixed = true}) {}

PeftMixedModel::PeftMixedModel(ModelTree tree, const std::filesystem::path& folder,
                               const FromPretrainedOptions& options)
    : PeftModel(std::move(tree), folder, options, {.is_mixed = true}) {
  set_adapter(active_adapters());
}

LoadResult PeftMixedModel::load_adapter(const std::filesystem::path& folder,
                                        const std::string& adapter,
                                        const LoadAdapterOptions& options) {
  LoadResult result = PeftModel::load_adapter(folder, adapter, options);
  set_adapter(active_adapters());
  return result;
}

void PeftMixedModel::save_pretrained(const std::filesystem::path&, const SaveOptions&) const {
  refuse("save_pretrained", "Save each adapter from a PeftModel of its own.");
}

void PeftMixedModel::create_or_update_model_card(const std::filesystem::path&) const {
  refuse("create_or_update_model_card", "Save each adapter from a PeftModel of its own.");
}

std::vector<TunerLayerStatus> PeftMixedModel::get_layer_status() const {
  refuse("get_layer_status", "Call peft::get_layer_status(model.tuner()).");
}

TunerModelStatus PeftMixedModel::get_model_status() const {
  refuse("get_model_status", "Call peft::get_model_status(model.tuner()).");
}

void PeftMixedModel::add_weighted_adapter(const std::vector<std::string>&,
                                          const std::vector<double>&, const std::string&,
                                          const CombineOptions&) {
  refuse("add_weighted_adapter", "Activate the adapters together with set_adapter.");
}

std::vector<Continuation> generate(PeftMixedModelFor<LanguageModel>& model,
                                   const std::vector<std::vector<int64_t>>& prompts,
                                   const GenerateOptions& options) {
  const CallScope scope(model.tuner());
  return generate(*model.get_base_model(), prompts, options);
}

}  // namespace peft
