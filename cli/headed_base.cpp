#include "cli/headed_base.h"

#include <ATen/ATen.h>

#include <numeric>

#include "peft/base/error.h"
#include "peft/prompt_learning.h"
#include "peft/train/collate.h"

namespace peft::cli {

namespace {

template <typename... Arguments>
HeadedModel adapted(ModelTask task, const TaskModel& base, Arguments&&... arguments) {
  switch (task) {
    case ModelTask::kTokenClassification:
      return PeftModelForTokenClassification(base, std::forward<Arguments>(arguments)...);
    case ModelTask::kQuestionAnswering:
      return PeftModelForQuestionAnswering(base, std::forward<Arguments>(arguments)...);
    default:
      return PeftModelForSequenceClassification(base, std::forward<Arguments>(arguments)...);
  }
}

// Models that tell two texts apart have an embedding for each.
bool has_token_types(const Json& config) {
  const auto types = config.find("type_vocab_size");
  return types != config.end() && types->is_number_integer() && types->get<int64_t>() > 1;
}

}  // namespace

HeadedBase::HeadedBase(const ModelOptions& options, const TaskKind& kind, LabelSet labels)
    : kind_(kind), labels_(std::move(labels)) {
  const auto dtype = options.wanted_dtype();
  const auto device = options.wanted_device();
  const auto checkpoint = open_base_checkpoint(options);
  text_ = ChatTokenizer::from_checkpoint(*checkpoint);
  const bool borders = kind.model == ModelTask::kQuestionAnswering;  // a start and an end
  const Json config = borders ? Json{{"num_labels", 2}} : labels_.model_config();
  base_ = load_model_as<TaskModelImpl>(checkpoint, kind.model,
                                       {.dtype = dtype,
                                        .device = device,
                                        .config = config,
                                        .warn_of_new_head = false});  // it is learnt or loaded
}

void HeadedBase::put_adapter(const PeftConfig& config) {
  model_.emplace(adapted(kind_.model, base_, config));
  virtual_tokens_ = active_virtual_tokens(peft().tuner());
}

void HeadedBase::load_adapter(const std::filesystem::path& folder, bool is_trainable) {
  model_.emplace(
      adapted(kind_.model, base_, folder, FromPretrainedOptions{.is_trainable = is_trainable}));
  virtual_tokens_ = active_virtual_tokens(peft().tuner());
}

HeadedModel& HeadedBase::model() {
  if (model_) return *model_;
  throw ConfigError("the model has no adapter: expected --adapter DIR.");
}

std::vector<TaskEncoding> HeadedBase::encode(const train::TaskRow& row, const RowLengths& lengths,
                                             int64_t otherwise) const {
  auto room = most_tokens(base_->config());
  if (room) *room -= virtual_tokens_;
  TaskEncodeOptions options = lengths.options(kind_.rows, otherwise, room);
  if (kind_.rows == train::RowTask::kQuestionAnswering) {
    return encode_question_windows(row, text_->tokenizer(), options);
  }
  options.with_type_ids = has_token_types(base_->config());
  return {encode_task_row(row, kind_.rows, labels_, text_->tokenizer(), options)};
}

at::Tensor HeadedBase::scores(const std::vector<TaskEncoding>& rows) {
  std::vector<train::Example> examples;
  for (const TaskEncoding& row : rows) {
    examples.push_back(row.example);
    examples.back().row_target.clear();  // some rows may have none
  }
  std::vector<size_t> all(examples.size());
  std::iota(all.begin(), all.end(), size_t{0});
  const train::Batch batch = train::collate(examples, all, text_->pad_id());
  const EncoderInput input{.input_ids = batch.input_ids,
                           .attention_mask = batch.attention_mask,
                           .token_type_ids = batch.token_type_ids};
  const at::Tensor scores =
      scores_of(model(), input, {.task_ids = batch.task_ids}).to(at::kCPU, at::kFloat);
  if (scores.dim() == 2) return scores;
  const int64_t tokens = batch.input_ids.size(1);
  return scores.narrow(1, scores.size(1) - tokens, tokens);
}

}  // namespace peft::cli
