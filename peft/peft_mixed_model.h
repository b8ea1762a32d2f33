#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "peft/generate/generate.h"
#include "peft/models/common/language_model.h"
#include "peft/peft_model.h"

namespace peft {

class PeftMixedModel;

/// A mixed model that knows its base model's type: `->` reaches the wrapped module.
template <typename Holder>
using PeftMixedModelFor = PeftModelFor<Holder, PeftMixedModel>;

/// A base model whose adapters may be of different methods, several of them active at once. Which
/// methods mix is said by the methods themselves (Method::can_mix); it is meant for inference, so
/// that much of what a PeftModel offers for training and publishing is not served.
///
///   auto model = PeftMixedModel::from_pretrained(net, "out/one", {.adapter_name = "one"});
///   model.load_adapter("out/two", "two");
///   model.set_adapter({"one", "two"});
///   at::Tensor y = model->forward(x);
///
/// Differs from a PeftModel in these points, as in Python: the first adapter of a half-precision
/// base has the base's type unless it is loaded, loading an adapter lets the active ones learn, and
/// where all active adapters are deleted each layer's first one follows.
///
/// Source: PeftMixedModel in peft/mixed_model.py.
class PeftMixedModel : public PeftModel {
 public:
  /// Puts the adapter of a folder on a model.
  /// Throws: ConfigError (an adapter of a method that does not mix), and what
  /// PeftModel::from_pretrained throws; the model is then as it was.
  template <typename Holder>
  static PeftMixedModelFor<Holder> from_pretrained(Holder model,
                                                   const std::filesystem::path& folder,
                                                   const FromPretrainedOptions& options = {}) {
    return PeftMixedModelFor<Holder>(std::move(model), folder, options);
  }

  /// As PeftModel::load_adapter; afterwards the active adapters learn, and no others.
  LoadResult load_adapter(const std::filesystem::path& folder, const std::string& adapter,
                          const LoadAdapterOptions& options = {});

  // Not served, as in Python. Throw: UnsupportedError that says what serves instead.

  void save_pretrained(const std::filesystem::path& folder, const SaveOptions& options = {}) const;
  void create_or_update_model_card(const std::filesystem::path& folder) const;
  std::vector<TunerLayerStatus> get_layer_status() const;
  TunerModelStatus get_model_status() const;
  void add_weighted_adapter(const std::vector<std::string>& adapters,
                            const std::vector<double>& weights, const std::string& adapter_name,
                            const CombineOptions& options = {});

 protected:
  PeftMixedModel(ModelTree tree, PeftConfig config, const PeftModelOptions& options);
  PeftMixedModel(ModelTree tree, const std::filesystem::path& folder,
                 const FromPretrainedOptions& options);
};

/// Says to get_peft_model that adapters of other methods are to join.
struct MixedMethods {
  explicit MixedMethods() = default;
};
inline constexpr MixedMethods kMixed{};

/// Puts a new adapter on a model that others of other methods may join: `mixed=True` of Python.
/// Throws: ConfigError (a method that does not mix), and what get_peft_model throws.
template <typename Holder>
PeftMixedModelFor<Holder> get_peft_model(Holder model, PeftConfig config, MixedMethods,
                                         const std::string& adapter_name = "default") {
  return PeftMixedModelFor<Holder>(std::move(model), std::move(config),
                                   {.adapter_name = adapter_name});
}

/// Continues prompts with the active adapters: see peft::generate for a language model.
std::vector<Continuation> generate(PeftMixedModelFor<LanguageModel>& model,
                                   const std::vector<std::vector<int64_t>>& prompts,
                                   const GenerateOptions& options = {});

}  // namespace peft
