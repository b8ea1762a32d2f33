#include "peft/task_call.h"

#include "peft/base/error.h"
#include "peft/base/warnings.h"

namespace peft {
namespace {

// Keys and values of prompts would be learned through activations that are thrown away.
void refuse_recomputing(const Tuner& tuner) {
  if (tuner.active_prompt() == nullptr || !tuner.method().prompt_is_cache) return;
  const PretrainedModelImpl& model = pretrained_model_of(tuner);
  if (!model.is_gradient_checkpointing() || !model.is_training()) return;
  throw ConfigError(std::string(tuner.method().name) +
                    " does not work with gradient checkpointing: expected a model without it, got "
                    "one with it. Call set_gradient_checkpointing(false).");
}

void refuse_rows_of_prompts(const Tuner& tuner, const std::vector<std::string>& adapter_names) {
  if (adapter_names.empty() || !tuner.is_prompt_learning()) return;
  throw UnsupportedError(
      "adapter_names: prompts are not mixed in one batch: expected none for a prompt learning "
      "method, got " +
      std::to_string(adapter_names.size()) + ". Run the rows of each adapter on their own.");
}

}  // namespace

TaskScope::TaskScope(const std::shared_ptr<Tuner>& tuner,
                     const std::vector<std::string>& adapter_names, int64_t rows)
    : scope_(*tuner, true) {
  refuse_rows_of_prompts(*tuner, adapter_names);
  refuse_recomputing(*tuner);
  if (adapter_names.empty()) return;
  if (static_cast<int64_t>(adapter_names.size()) != rows) {
    throw MismatchError(
        "adapter_names: length of `adapter_names` should be the same as the number of inputs: "
        "expected " +
        std::to_string(rows) + ", got " + std::to_string(adapter_names.size()) +
        ". Give one name a row.");
  }
  mixed_.emplace(tuner, adapter_names);
}

void warn_of_positions(const Tuner& tuner, const at::Tensor& position_ids) {
  if (!position_ids.defined() || tuner.active_prompt() == nullptr) return;
  if (tuner.method().prompt_is_cache) return;
  warn("Position ids are not supported for parameter efficient tuning. Ignoring position ids.");
}

PreparedEncoderInputs prepare_task_inputs(const Tuner& tuner, const EncoderInput& input,
                                          const TaskCall& call) {
  warn_of_positions(tuner, input.position_ids);
  return put_prompt(tuner, input, call.task_ids);
}

PeftModelWithClassifier::PeftModelWithClassifier(ModelTree tree, PeftConfig config,
                                                 const PeftModelOptions& options)
    : PeftModel(std::move(tree), std::move(config), options, {.heads = {"classifier", "score"}}) {}

PeftModelWithClassifier::PeftModelWithClassifier(ModelTree tree,
                                                 const std::filesystem::path& folder,
                                                 const FromPretrainedOptions& options)
    : PeftModel(std::move(tree), folder, options, {.heads = {"classifier", "score"}}) {}

PeftModelWithSpanHead::PeftModelWithSpanHead(ModelTree tree, PeftConfig config,
                                             const PeftModelOptions& options)
    : PeftModel(std::move(tree), std::move(config), options, {.heads = {"qa_outputs"}}) {}

PeftModelWithSpanHead::PeftModelWithSpanHead(ModelTree tree, const std::filesystem::path& folder,
                                             const FromPretrainedOptions& options)
    : PeftModel(std::move(tree), folder, options, {.heads = {"qa_outputs"}}) {}

}  // namespace peft
