#include "peft/adapter_task.h"

#include <algorithm>

#include "peft/base/error.h"
#include "peft/base/text.h"
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

constexpr const char* kEncoderFile = "prompt_encoder.safetensors";

// Everything is compared before the first value is written.
void fill_encoder(torch::nn::Module& encoder, const std::filesystem::path& path) {
  const StateDict state = formats::SafetensorsFile(path).load_all();
  const auto parameters = encoder.named_parameters();
  for (const auto& entry : parameters) {
    const at::Tensor* found = state.find(entry.key());
    if (found != nullptr && found->sizes() == entry.value().sizes()) continue;
    throw MismatchError(path.string() + ": tensor '" + entry.key() + "': expected shape " +
                        shape_text(entry.value().sizes().vec()) + ", got " +
                        (found ? shape_text(found->sizes().vec()) : std::string("none")) +
                        ". The checkpoint is of a prompt with other settings.");
  }
  const at::NoGradGuard no_grad;
  for (const auto& entry : parameters) entry.value().detach().copy_(state.at(entry.key()));
}

// The copies of modules_to_save, whose names have the prefix of the base's.
StateDict without_prompt(const PeftModel& model, const std::filesystem::path& folder) {
  const std::string prefix = model.tuner().file_prefix();
  StateDict rest;
  for (const auto& [name, tensor] :
       formats::SafetensorsFile(folder / "adapter_model.safetensors").load_all()) {
    if (name.starts_with(prefix)) rest.set(name, tensor);
  }
  return rest;
}

}  // namespace

std::vector<train::TrainParameter> AdapterTask::parameters() {
  std::vector<train::TrainParameter> parameters;
  for (auto& [name, tensor] : adapted_.trainable_parameters()) {
    parameters.push_back({.name = name, .tensor = tensor, .decay = train::decays(name)});
  }
  if (loraplus_) set_rates(parameters, loraplus_groups(adapted_, *loraplus_), loraplus_->lr);
  return parameters;
}

void AdapterTask::set_training(bool on) {
  training_ = on;
  adapted_.train(on);
}

void AdapterTask::save_adapter(const std::filesystem::path& folder) {
  adapted_.save_pretrained(folder, {.selected_adapters = {adapter_}});
}

void AdapterTask::save_rest(const std::filesystem::path& folder) {
  const auto encoders = adapted_.prompt_encoder();
  const auto encoder = encoders.find(adapter_);
  if (encoder == encoders.end()) return;
  StateDict state;
  for (const auto& entry : encoder->second->named_parameters()) {
    state.set(entry.key(), entry.value().detach());
  }
  formats::write_safetensors(folder / kEncoderFile, state);
}

void AdapterTask::load_adapter(const std::filesystem::path& folder) {
  const auto encoders = adapted_.prompt_encoder();
  const auto encoder = encoders.find(adapter_);
  if (encoder != encoders.end() && std::filesystem::exists(folder / kEncoderFile)) {
    fill_encoder(*encoder->second, folder / kEncoderFile);
    adapted_.load_state_dict(without_prompt(adapted_, folder), adapter_);
    return;
  }
  const formats::SafetensorsFile file(folder / "adapter_model.safetensors");
  adapted_.load_state_dict(file.load_all(), adapter_);
}

void AdapterTask::save_tensors(const std::filesystem::path& file,
                               const train::NamedTensors& tensors) {
  StateDict state;
  for (const auto& [name, tensor] : tensors) state.set(name, tensor);
  formats::write_safetensors(file, state);
}

train::NamedTensors AdapterTask::load_tensors(const std::filesystem::path& file) {
  const StateDict state = formats::SafetensorsFile(file).load_all();
  return {state.begin(), state.end()};
}

}  // namespace peft
