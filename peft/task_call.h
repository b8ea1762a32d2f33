#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "peft/adapter/mixed_batch.h"
#include "peft/models/common/encoder_model.h"
#include "peft/peft_model.h"

namespace peft {

/// What a call takes beside the input of the model. Legend: B rows.
struct TaskCall {
  std::vector<std::string> adapter_names = {};  // of each row, where rows differ
  at::Tensor task_ids = {};                     // [B] int64, for multitask prompt tuning
};

/// Looks after one call of a model by a class that puts prompts before its tokens: rows run with
/// the adapters that are named for them while it lives.
class TaskScope {
 public:
  /// Throws: MismatchError for another number of names than rows; UnsupportedError for names where
  /// the adapters are prompts; ConfigError for a prompt in the cache of a model that computes its
  /// activations again.
  TaskScope(const std::shared_ptr<Tuner>& tuner, const std::vector<std::string>& adapter_names,
            int64_t rows);

  /// The rows' adapters; null: all rows have the active ones.
  MixedBatch* mixed() { return mixed_ ? &*mixed_ : nullptr; }

 private:
  CallScope scope_;
  std::optional<MixedBatch> mixed_;
};

/// Warns where the positions that a caller gives go to waste, as they do in Python: embeddings of a
/// prompt leave no place for them.
void warn_of_positions(const Tuner& tuner, const at::Tensor& position_ids);

/// The model's input with the prompt of the active adapter before its tokens; with a warning where
/// positions are dropped.
PreparedEncoderInputs prepare_task_inputs(const Tuner& tuner, const EncoderInput& input,
                                          const TaskCall& call);

/// The number of rows of a call; 0 where it has no tokens.
template <typename Input>
int64_t rows_of(const Input& input) {
  const at::Tensor& tokens = input.input_ids.defined() ? input.input_ids : input.inputs_embeds;
  return tokens.defined() ? tokens.size(0) : 0;
}

/// A PeftModel that trains and saves the layer that scores classes beside each adapter.
class PeftModelWithClassifier : public PeftModel {
 protected:
  PeftModelWithClassifier(ModelTree tree, PeftConfig config, const PeftModelOptions& options);
  PeftModelWithClassifier(ModelTree tree, const std::filesystem::path& folder,
                          const FromPretrainedOptions& options);
};

/// A PeftModel that trains and saves the layer that scores the borders of answers beside each
/// adapter.
class PeftModelWithSpanHead : public PeftModel {
 protected:
  PeftModelWithSpanHead(ModelTree tree, PeftConfig config, const PeftModelOptions& options);
  PeftModelWithSpanHead(ModelTree tree, const std::filesystem::path& folder,
                        const FromPretrainedOptions& options);
};

}  // namespace peft
