#include "peft/causal_lm_task.h"

#include <algorithm>

#include "peft/formats/safetensors_file.h"
#include "peft/formats/safetensors_writer.h"

namespace peft {
namespace {

void set_rates(std::vector<train::TrainParameter>& parameters,
               const std::vector<LoraPlusGroup>& groups, double rate) {
  for (const LoraPlusGroup& group : groups) {
    for (train::TrainParameter& parameter : parameters) {
      const auto& names = group.names;
      if (std::find(names.begin(), names.end(), parameter.name) == names.end()) continue;
      parameter.rate_factor = group.lr / rate;
    }
  }
}

}  // namespace

CausalLMTask::CausalLMTask(PeftModelForCausalLM model, std::string adapter)
    : model_(std::move(model)), adapter_(std::move(adapter)) {}

at::Tensor CausalLMTask::loss_sum(const train::Batch& batch) {
  return model_.loss_sum({.input_ids = batch.input_ids, .attention_mask = batch.attention_mask},
                         batch.labels);
}

std::vector<train::TrainParameter> CausalLMTask::parameters() {
  std::vector<train::TrainParameter> parameters;
  for (auto& [name, tensor] : model_.trainable_parameters()) {
    parameters.push_back({.name = name, .tensor = tensor, .decay = train::decays(name)});
  }
  if (loraplus_) set_rates(parameters, loraplus_groups(model_, *loraplus_), loraplus_->lr);
  return parameters;
}

void CausalLMTask::set_training(bool on) { model_.train(on); }

void CausalLMTask::save_adapter(const std::filesystem::path& folder) {
  model_.save_pretrained(folder, {.selected_adapters = {adapter_}});
}

void CausalLMTask::load_adapter(const std::filesystem::path& folder) {
  const formats::SafetensorsFile file(folder / "adapter_model.safetensors");
  model_.load_state_dict(file.load_all(), adapter_);
}

void CausalLMTask::save_tensors(const std::filesystem::path& file,
                                const train::NamedTensors& tensors) {
  StateDict state;
  for (const auto& [name, tensor] : tensors) state.set(name, tensor);
  formats::write_safetensors(file, state);
}

train::NamedTensors CausalLMTask::load_tensors(const std::filesystem::path& file) {
  const StateDict state = formats::SafetensorsFile(file).load_all();
  return {state.begin(), state.end()};
}

}  // namespace peft
