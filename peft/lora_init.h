#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <vector>

#include "peft/methods/lora/init/eva.h"
#include "peft/peft_model.h"

namespace peft {

/// Finds out what the next adapter with this config needs to begin with CorDA, and keeps it in
/// `config.statistics`. `run_model` runs the model on the data, one row of a batch at a time; it
/// may be empty where one of the files of `corda_config` exists. Files that do not exist are
/// written.
///
///   LoraConfig config{.init_lora_weights = "corda"};
///   preprocess_corda(net, config, [&] { for (auto& row : rows) net->forward(row); });
///   auto model = get_peft_model(net, config);
///
/// Throws: ConfigError, FormatError, IoError.
/// Source: preprocess_corda in peft/tuners/lora/corda.py.
void preprocess_corda(const ModelTree& tree, LoraConfig& config,
                      const std::function<void()>& run_model);
template <typename Holder>
void preprocess_corda(const Holder& model, LoraConfig& config,
                      const std::function<void()>& run_model) {
  preprocess_corda(detail::model_tree(model), config, run_model);
}

/// The same for LoRA-GA: `train_step` runs forward and backward on the data. Gradients come from
/// `cache_file` where it exists, and are written there where it does not.
///
/// Throws: ConfigError (also where lora_ga_config is null), FormatError, IoError.
/// Source: preprocess_loraga in peft/tuners/lora/loraga.py.
void preprocess_loraga(const ModelTree& tree, LoraConfig& config,
                       const std::function<void()>& train_step,
                       const std::optional<std::filesystem::path>& cache_file = std::nullopt);
template <typename Holder>
void preprocess_loraga(const Holder& model, LoraConfig& config,
                       const std::function<void()>& train_step,
                       const std::optional<std::filesystem::path>& cache_file = std::nullopt) {
  preprocess_loraga(detail::model_tree(model), config, train_step, cache_file);
}

/// Begins an adapter that was made with init_lora_weights = "eva" with the components of its
/// layers' inputs. Throws: ConfigError.
/// Source: initialize_lora_eva_weights in peft/tuners/lora/eva.py.
void initialize_lora_eva_weights(PeftModel& model, const std::vector<EvaBatch>& batches,
                                 const std::string& adapter = "default",
                                 const EvaProgress& progress = {});

}  // namespace peft
