#pragma once

#include <filesystem>

#include "peft/train/task.h"

namespace peft::train {

/// A bigram model with dropout: the smallest thing that can be trained on tokens.
class ToyTask final : public TrainTask {
 public:
  explicit ToyTask(int64_t vocabulary = 12, double dropout = 0.1);

  at::Tensor loss_sum(const Batch& batch) override;
  std::vector<TrainParameter> parameters() override;
  void set_training(bool on) override { training_ = on; }
  bool training() const { return training_; }
  void save_adapter(const std::filesystem::path& folder) override;
  void load_adapter(const std::filesystem::path& folder) override;
  void save_tensors(const std::filesystem::path& file, const NamedTensors& tensors) override;
  NamedTensors load_tensors(const std::filesystem::path& file) override;

  at::Tensor weight;      // [V, V]
  double scale = 1;       // the loss is multiplied with it
  int64_t fail_save = 0;  // that many adapter writes fail

 private:
  double dropout_;
  bool training_ = false;
};

/// A folder of its own that is removed at the end.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// `count` rows of 3 to 9 tokens that follow a pattern.
std::vector<Example> toy_rows(size_t count, int64_t vocabulary = 12);

}  // namespace peft::train
