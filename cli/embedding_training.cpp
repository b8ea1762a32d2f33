#include "cli/embedding_training.h"

#include <ATen/ATen.h>
#include <fmt/core.h>

#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/embedding_task.h"

namespace peft::cli {

namespace {

std::vector<int64_t> tokens_of(const std::string& text, const ChatTokenizer& tokenizer,
                               int64_t max_length) {
  tokenizers::EncodeOptions options;
  if (max_length > 0) options.max_length = static_cast<size_t>(max_length);
  return tokenizer.tokenizer().encode(text, options).ids;
}

train::Example pair_of(const train::TaskRow& row, const ChatTokenizer& tokenizer,
                       int64_t max_length) {
  if (!row.text_pair) {
    throw ConfigError(row.where + ": expected two texts that belong together, got one.");
  }
  train::Example example{.input_ids = tokens_of(row.text, tokenizer, max_length),
                         .task_id = row.task_id,
                         .second_ids = tokens_of(*row.text_pair, tokenizer, max_length)};
  if (row.label.is_null()) return example;
  if (!row.label.is_number()) {
    throw ConfigError(row.where +
                      ": label: expected a number from -1 to 1, how near the texts "
                      "are, got " +
                      row.label.dump() + ".");
  }
  example.row_target = {row.label.get<double>()};
  return example;
}

std::vector<train::Example> pairs_of(const std::filesystem::path& file,
                                     const HeadedTraining& training,
                                     const ChatTokenizer& tokenizer) {
  std::vector<train::Example> pairs;
  for (const train::TaskRow& row : rows_for_training(training, file, false)) {
    pairs.push_back(pair_of(row, tokenizer, training.lengths.max_length.value_or(kTrainLength)));
    if (pairs.back().row_target.size() == pairs.front().row_target.size()) continue;
    throw ConfigError(row.where + ": label: expected one in every row or in none.");
  }
  return pairs;
}

}  // namespace

TrainOutcome train_embeddings(HeadedTraining training, const Console& console) {
  const auto checkpoint = open_base_checkpoint(training.model);
  const auto tokenizer = ChatTokenizer::from_checkpoint(*checkpoint);
  train::TrainData& data = training.run.data;
  data.train = pairs_of(training.train_file, training, *tokenizer);
  if (training.valid_file) data.valid = pairs_of(*training.valid_file, training, *tokenizer);
  data.pad_id = tokenizer->pad_id();
  at::manual_seed(static_cast<uint64_t>(training.run.options.seed));
  const auto body = load_model_as<EncoderModelImpl>(
      checkpoint, ModelTask::kBody,
      {.dtype = training.model.wanted_dtype(), .device = training.model.wanted_device()});
  const PeftModelForFeatureExtraction model =
      training.config ? PeftModelForFeatureExtraction(body, *training.config)
                      : PeftModelForFeatureExtraction::from_pretrained(
                            body, local_adapter(training.model.adapter), {.is_trainable = true});
  body->set_gradient_checkpointing(training.gradient_checkpointing);
  say_what_is_trained(fmt::format("{} pairs", data.train.size()), model, console);
  EmbeddingTask task(model, Pooling::load(checkpoint->path()));
  return run_training(std::move(training.run), task, console);
}

}  // namespace peft::cli
