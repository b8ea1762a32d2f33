#pragma once

#include <optional>
#include <string>

#include "peft/optimizers.h"
#include "peft/peft_model.h"
#include "peft/train/task.h"

namespace peft {

/// What the training of an adapter needs whatever its model is for: its parameters and its files.
class AdapterTask : public train::TrainTask {
 public:
  /// Trains with the rates of LoRA+: those of its groups over `loraplus.lr`, which has to be the
  /// trainer's learning_rate. The trainer's weight decay applies as usual, but not to biases and
  /// norms.
  void use_loraplus(const LoraPlusOptions& loraplus) { loraplus_ = loraplus; }

  std::vector<train::TrainParameter> parameters() override;
  void set_training(bool on) override;
  void save_adapter(const std::filesystem::path& folder) override;
  void load_adapter(const std::filesystem::path& folder) override;
  /// The whole encoder of a prompt: an adapter's files hold what it makes.
  void save_rest(const std::filesystem::path& folder) override;
  void save_tensors(const std::filesystem::path& file, const train::NamedTensors& tensors) override;
  train::NamedTensors load_tensors(const std::filesystem::path& file) override;

 protected:
  /// `adapter` is the one that is saved and loaded; it has to be active and trainable.
  AdapterTask(PeftModel model, std::string adapter)
      : adapted_(std::move(model)), adapter_(std::move(adapter)) {}

  /// What set_training() said last; an evaluation is not training.
  bool is_training() const { return training_; }

 private:
  PeftModel adapted_;
  std::string adapter_;
  bool training_ = false;
  std::optional<LoraPlusOptions> loraplus_;
};

}  // namespace peft
