#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "peft/methods/lora/variants/arrow.h"
#include "peft/peft_model.h"
#include "peft/peft_model_for_causal_lm.h"

namespace peft {

using lora::ArrowConfig;

/// Where the adapters of an Arrow model come from: folders, or names on the Hub, which may go on
/// with the folder in a repository ("user/experts/task_0").
struct ArrowAdapters {
  std::vector<std::filesystem::path> tasks = {};    // loaded as "task_0", "task_1", ...
  std::vector<std::filesystem::path> general = {};  // as "gks_0", ...; read with use_gks alone
};

namespace detail {

/// The first task adapter, with which the model begins.
struct ArrowBeginning {
  std::filesystem::path folder;
  FromPretrainedOptions options;
};

/// Throws: ConfigError, NotFoundError; see create_arrow_model.
ArrowBeginning arrow_beginning(const ArrowAdapters& adapters, const ArrowConfig& arrow_config,
                               const LoadAdapterOptions& options);

/// Loads the other adapters, adds the router and activates it.
void complete_arrow_model(PeftModel& model, const ArrowAdapters& adapters,
                          const ArrowConfig& arrow_config, const LoadAdapterOptions& options);

template <typename Model, typename Holder>
Model make_arrow_model(Holder base_model, const ArrowAdapters& adapters,
                       const ArrowConfig& arrow_config, const LoadAdapterOptions& options) {
  const ArrowBeginning first = arrow_beginning(adapters, arrow_config, options);
  Model model(std::move(base_model), first.folder, first.options);
  try {
    complete_arrow_model(model, adapters, arrow_config, options);
  } catch (...) {
    model.unload();
    throw;
  }
  return model;
}

}  // namespace detail

/// Loads task adapters and puts the router "arrow_router" beside them, which is active afterwards:
/// every layer deals its tokens out to the `top_k` task adapters that fit them best (see
/// lora::ArrowVariant). The names in `arrow_config` are set here.
///
///   auto model = create_arrow_model(net, {.tasks = {"out/sums", "out/poems"}}, {.top_k = 1});
///
/// Throws: ConfigError (no task adapter; use_gks without general ones; adapters of different ranks,
/// shapes or target modules, on layers that are not linear, or that are no plain LoRA), and what
/// PeftModel::load_adapter throws. The model then has no adapter.
/// Source: create_arrow_model in peft/tuners/lora/arrow.py.
template <typename Holder>
PeftModelFor<Holder> create_arrow_model(Holder base_model, const ArrowAdapters& adapters,
                                        const ArrowConfig& arrow_config = {},
                                        const LoadAdapterOptions& options = {}) {
  return detail::make_arrow_model<PeftModelFor<Holder>>(std::move(base_model), adapters,
                                                        arrow_config, options);
}

/// The same for a language model.
inline PeftModelForCausalLM create_arrow_model(LanguageModel base_model,
                                               const ArrowAdapters& adapters,
                                               const ArrowConfig& arrow_config = {},
                                               const LoadAdapterOptions& options = {}) {
  return detail::make_arrow_model<PeftModelForCausalLM>(std::move(base_model), adapters,
                                                        arrow_config, options);
}

}  // namespace peft
