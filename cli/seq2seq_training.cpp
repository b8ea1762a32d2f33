#include "cli/seq2seq_training.h"

#include <ATen/ATen.h>
#include <fmt/core.h>

#include "cli/seq2seq_base.h"
#include "peft/base/text.h"
#include "peft/seq2seq_task.h"

namespace peft::cli {

namespace {

std::vector<train::Example> targets_of(const std::filesystem::path& file,
                                       const HeadedTraining& training, const ChatTokenizer& text) {
  std::vector<train::Example> examples;
  const int64_t most = training.lengths.max_length.value_or(kTrainLength);
  for (const train::TaskRow& row : rows_for_training(training, file, true)) {
    examples.push_back(encode_task_row(row, training.kind.rows, {}, text.tokenizer(),
                                       {.max_length = most, .max_target = most})
                           .example);
  }
  return examples;
}

}  // namespace

TrainOutcome train_seq2seq(HeadedTraining training, const Console& console) {
  const Seq2SeqBase base = open_seq2seq(training.model);
  train::TrainData& data = training.run.data;
  data.train = targets_of(training.train_file, training, *base.text);
  if (training.valid_file) data.valid = targets_of(*training.valid_file, training, *base.text);
  data.pad_id = base.text->pad_id();
  at::manual_seed(static_cast<uint64_t>(training.run.options.seed));
  const PeftModelForSeq2SeqLM model =
      training.config
          ? PeftModelForSeq2SeqLM(base.model, *training.config)
          : PeftModelForSeq2SeqLM::from_pretrained(
                base.model, local_adapter(training.model.adapter), {.is_trainable = true});
  base.model->set_gradient_checkpointing(training.gradient_checkpointing);
  say_what_is_trained(fmt::format("{} rows", data.train.size()), model, console);
  Seq2SeqTask task(model);
  return run_training(std::move(training.run), task, console);
}

}  // namespace peft::cli
