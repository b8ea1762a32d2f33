#include "peft/peft_model_for_seq2seq_lm.h"

#include <ATen/ATen.h>

#include "peft/mixed_generation.h"

namespace peft {
namespace {

int64_t rows_of_call(const Seq2SeqInput& input) {
  return input.encoder_states.defined() ? input.encoder_states.size(0) : rows_of(input.encoder);
}

}  // namespace

at::Tensor PeftModelForSeq2SeqLM::forward(const Seq2SeqInput& input, const TaskCall& call) {
  const TaskScope scope(shared_tuner(), call.adapter_names, rows_of_call(input));
  const PreparedSeq2SeqInputs prepared = put_prompt(tuner(), input, call.task_ids);
  return model_->forward(prepared.input);
}

at::Tensor PeftModelForSeq2SeqLM::loss_sum(const Seq2SeqInput& given, const at::Tensor& labels,
                                           const TaskCall& call) {
  const TaskScope scope(shared_tuner(), call.adapter_names, rows_of_call(given));
  Seq2SeqInput input = given;
  if (!input.decoder_input_ids.defined() && !input.decoder_inputs_embeds.defined()) {
    input.decoder_input_ids = model_->shift_right(labels);
  }
  const PreparedSeq2SeqInputs prepared = put_prompt(tuner(), input, call.task_ids);
  const int64_t ahead = active_target_tokens(tuner());
  if (ahead == 0) return model_->loss_sum(prepared.input, labels);
  const at::Tensor none = at::full({labels.size(0), ahead}, -100, labels.options());
  return model_->loss_sum(prepared.input, at::cat({none, labels}, 1));
}

at::Tensor PeftModelForSeq2SeqLM::loss(const Seq2SeqInput& input, const at::Tensor& labels,
                                       const TaskCall& call) {
  const auto count = labels.ne(-100).sum().item<int64_t>();
  return loss_sum(input, labels, call) / static_cast<double>(count);
}

PreparedSeq2SeqInputs PeftModelForSeq2SeqLM::prepare_inputs_for_generation(
    const Seq2SeqInput& given) const {
  Seq2SeqInput input = given;
  const at::Tensor& ids = given.decoder_input_ids;
  const bool begun = given.cache != nullptr && given.cache->self_attention->length() > 0;
  if (begun && ids.defined()) input.decoder_input_ids = ids.slice(1, -1);
  if (tuner().active_prompt() == nullptr || !tuner().method().prompt_is_cache)
    return {.input = input};
  return put_prompt(tuner(), input);
}

std::vector<Continuation> PeftModelForSeq2SeqLM::generate(
    const std::vector<std::vector<int64_t>>& sources, const GenerateOptions& options,
    const TaskCall& call) {
  TaskScope scope(shared_tuner(), call.adapter_names, static_cast<int64_t>(sources.size()));
  if (tuner().active_prompt() != nullptr) {
    PromptedSeq2SeqModelImpl prompted(shared_tuner(), call.task_ids);
    return peft::generate(prompted, sources, options);
  }
  if (scope.mixed() == nullptr) return peft::generate(*model_, sources, options);
  return peft::generate(*model_, sources, follow_rows(*scope.mixed(), options));
}

}  // namespace peft
