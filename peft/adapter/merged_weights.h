#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

#include "peft/adapter/tuner.h"

namespace peft {

/// The weights that a model would have after merge and unload, made one at a time and only when
/// asked for: the base stays as it is. For writing a merged checkpoint in little memory.
class MergedWeights {
 public:
  /// Adapters: empty: the active ones. The tuner must outlive this and stay as it is.
  /// Throws: NotFoundError, UnsupportedError, ConfigError as Tuner::merge; UnsupportedError where
  /// can_be_made() is false.
  explicit MergedWeights(const Tuner& tuner, const std::vector<std::string>& adapters = {},
                         bool safe = false);

  /// False where adapters are merged already, or copies of whole modules take the base's place.
  static bool can_be_made(const Tuner& tuner);

  /// The merged value of a parameter of the model; what no adapter changes is returned itself.
  /// Throws: ConfigError where `safe` and the value is not finite.
  at::Tensor value_of(const at::Tensor& parameter) const;

 private:
  struct Part {
    const Attachment* attachment;
    std::vector<std::string> adapters;
  };
  at::Tensor merged_weight(const at::Tensor& parameter, const std::vector<Part>& parts) const;
  at::Tensor merged_bias(const at::Tensor& parameter, const std::vector<Part>& parts) const;

  bool safe_;
  std::map<const c10::TensorImpl*, std::vector<Part>> weights_, biases_;
};

}  // namespace peft
