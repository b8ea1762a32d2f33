#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "peft/train/adamw.h"
#include "peft/train/collate.h"

namespace peft::train {

/// Figures of an evaluation by name.
using Metrics = std::vector<std::pair<std::string, double>>;

/// What is trained, as the trainer sees it: the port that binds a model with an adapter to it. The
/// trainer knows neither models nor file formats.
class TrainTask {
 public:
  virtual ~TrainTask() = default;

  /// Sum of the loss over the labels of the batch that count, with its graph where gradients are
  /// on.
  ///   -> scalar float32
  virtual at::Tensor loss_sum(const Batch& batch) = 0;

  /// An evaluation begins: loss_sum() is called for each of its batches, without gradients.
  virtual void begin_evaluation() {}
  /// What the batches since then were like besides their loss, by name ("accuracy"); logged as
  /// "eval_accuracy".
  virtual Metrics metrics() { return {}; }

  /// The parameters that learn, in a fixed order and under the names that checkpoints use.
  virtual std::vector<TrainParameter> parameters() = 0;

  /// Switches dropout on or off.
  virtual void set_training(bool on) = 0;

  /// Writes the adapter into an existing folder, as Python PEFT does.
  virtual void save_adapter(const std::filesystem::path& folder) = 0;
  /// Overwrites the parameters with those of a folder.  Throws: MismatchError, FormatError.
  virtual void load_adapter(const std::filesystem::path& folder) = 0;

  /// Writes into a checkpoint of the run what load_adapter() needs beside the adapter's own files,
  /// where these do not hold all that learns.
  virtual void save_rest(const std::filesystem::path&) {}

  /// One safetensors file.
  virtual void save_tensors(const std::filesystem::path& file, const NamedTensors& tensors) = 0;
  virtual NamedTensors load_tensors(const std::filesystem::path& file) = 0;
};

}  // namespace peft::train
