#include "peft/lora_init.h"

#include "peft/base/error.h"
#include "peft/base_model.h"
#include "peft/formats/safetensors_file.h"
#include "peft/formats/safetensors_writer.h"
#include "peft/methods/lora/init/corda.h"
#include "peft/methods/lora/init/lora_ga.h"

namespace peft {
namespace {

namespace fs = std::filesystem;

bool is_filled(const std::optional<fs::path>& file) {
  std::error_code error;
  return file && fs::exists(*file, error) && fs::file_size(*file, error) > 0;
}

// The tensors of a file; they stay valid when it is written again.
StateDict read_tensors(const fs::path& file) {
  StateDict copies;
  for (const auto& [name, tensor] : formats::SafetensorsFile(file).load_all()) {
    copies.set(name, tensor.clone());
  }
  return copies;
}

void write_tensors(const fs::path& file, const StateDict& tensors) {
  std::error_code error;
  if (file.has_parent_path()) fs::create_directories(file.parent_path(), error);
  if (error) throw IoError(file.string() + ": cannot make its folder: " + error.message() + ".");
  StateDict whole;
  for (const auto& [name, tensor] : tensors) whole.set(name, tensor.contiguous());
  formats::write_safetensors(file, whole);
}

// The model as get_peft_model will see it: a tied head has its name meanwhile.
class PreparedModel {
 public:
  explicit PreparedModel(const ModelTree& tree) : tree_(tree), facts_(prepare_base_model(tree)) {}
  ~PreparedModel() { release_base_model(tree_); }
  PreparedModel(const PreparedModel&) = delete;
  PreparedModel& operator=(const PreparedModel&) = delete;
  const ModelFacts& facts() const { return facts_; }

 private:
  const ModelTree& tree_;
  ModelFacts facts_;
};

StateDict covariances_of(const ModelTree& tree, const ModelFacts& facts, const LoraConfig& config,
                         const std::function<void()>& run_model) {
  const auto& file = config.corda_config->covariance_file;
  if (is_filled(file)) return read_tensors(*file);
  if (!run_model) {
    throw ConfigError(
        "preprocess_corda: run_model: expected a function that runs the model on data, since "
        "neither cache_file nor covariance_file exists, got none. Give it one.");
  }
  const TrainingMode evaluation(tree, false);
  StateDict covariances = lora::corda_covariances(tree, facts, config, run_model);
  if (file) write_tensors(*file, covariances);
  return covariances;
}

}  // namespace

void preprocess_corda(const ModelTree& tree, LoraConfig& config,
                      const std::function<void()>& run_model) {
  if (!config.corda_config) config.corda_config.emplace();
  config.corda_config->validate();
  const PreparedModel model(tree);
  const auto& cache = config.corda_config->cache_file;
  if (is_filled(cache)) {
    lora::restore_corda_cache(tree, model.facts(), config, read_tensors(*cache));
    return;
  }
  const StateDict covariances = covariances_of(tree, model.facts(), config, run_model);
  lora::collect_corda_eigens(tree, model.facts(), config, covariances);
  if (cache) write_tensors(*cache, lora::corda_cache(*config.statistics));
}

void preprocess_loraga(const ModelTree& tree, LoraConfig& config,
                       const std::function<void()>& train_step,
                       const std::optional<fs::path>& cache_file) {
  if (!config.lora_ga_config) {
    throw ConfigError(
        "preprocess_loraga: lora_ga_config: expected the settings of LoRA-GA, got null. Set it, "
        "LoraGAConfig{} has the defaults.");
  }
  config.lora_ga_config->validate();
  if (is_filled(cache_file)) {
    lora::keep_lora_ga_gradients(config, read_tensors(*cache_file));
    return;
  }
  const PreparedModel model(tree);
  const StateDict gradients = lora::lora_ga_gradients(tree, model.facts(), config, train_step);
  lora::keep_lora_ga_gradients(config, gradients);
  if (cache_file) write_tensors(*cache_file, gradients);
}

void initialize_lora_eva_weights(PeftModel& model, const std::vector<EvaBatch>& batches,
                                 const std::string& adapter, const EvaProgress& progress) {
  Tuner& tuner = model.tuner();
  tuner.verify();
  check_eva_request(tuner, adapter);
  initialize_lora_eva_weights(tuner, get_eva_state_dict(tuner, batches, adapter, progress),
                              adapter);
}

}  // namespace peft
