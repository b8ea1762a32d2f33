#include "cli/seq2seq_training.h"

#include <ATen/ATen.h>
#include <fmt/core.h>

#include "peft/base/text.h"
#include "peft/seq2seq_task.h"

namespace peft::cli {

namespace {

std::vector<train::Example> targets_of(const std::filesystem::path& file,
                                       const HeadedTraining& training, const ChatTokenizer& text) {
  std::vector<train::Example> examples;
  for (const train::TaskRow& row :
       train::read_task_rows(file, training.kind.rows, training.columns, true)) {
    examples.push_back(
        encode_task_row(row, training.kind.rows, {}, text.tokenizer(),
                        {.max_length = training.max_length, .max_target = training.max_length})
            .example);
  }
  return examples;
}

}  // namespace

Seq2SeqBase open_seq2seq(const ModelOptions& options) {
  const auto checkpoint = open_base_checkpoint(options);
  return {.model = load_model_as<Seq2SeqModelImpl>(
              checkpoint, ModelTask::kSeq2SeqLM,
              {.dtype = options.wanted_dtype(), .device = options.wanted_device()}),
          .text = ChatTokenizer::from_checkpoint(*checkpoint)};
}

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

std::vector<std::string> write_targets(PeftModelForSeq2SeqLM& model, const ChatTokenizer& text,
                                       const std::vector<train::TaskRow>& rows, int64_t max_length,
                                       int64_t max_new_tokens) {
  std::vector<std::vector<int64_t>> sources;
  for (const train::TaskRow& row : rows) {
    sources.push_back(encode_task_row(row, train::RowTask::kSeq2SeqLM, {}, text.tokenizer(),
                                      {.max_length = max_length})
                          .example.input_ids);
  }
  GenerateOptions options = generate_options_of(model.config());
  options.max_new_tokens = max_new_tokens;
  std::vector<std::string> targets;
  for (const Continuation& target : model.generate(sources, options)) {
    targets.push_back(text.tokenizer().decode(target.tokens));
  }
  return targets;
}

}  // namespace peft::cli
