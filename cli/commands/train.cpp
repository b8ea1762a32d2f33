#include <fmt/core.h>

#include "cli/adapted_model.h"
#include "cli/begun_adapter.h"
#include "cli/commands.h"
#include "cli/embedding_training.h"
#include "cli/examples.h"
#include "cli/headed_training.h"
#include "cli/lora_options.h"
#include "cli/row_tasks.h"
#include "cli/seq2seq_training.h"
#include "cli/task_options.h"
#include "cli/train_run.h"
#include "peft/base/error.h"
#include "peft/base/json_text.h"
#include "peft/base/text.h"
#include "peft/causal_lm_task.h"
#include "peft/methods/registry.h"
#include "peft/train/example.h"

namespace peft::cli {

namespace {

struct TrainCommandOptions {
  ModelOptions model = {};
  std::filesystem::path dataset_name = {};
  std::string task_type = "CAUSAL_LM";
  std::string problem_type = "";
  std::string dataset_text_field = "text";
  ColumnOptions columns = {};
  train::TrainOptions train = {};
  bool use_peft = true;
  std::string peft_type = "LORA";
  std::string peft_config = "";
  LoraOptions lora = {};
  double loraplus_lr_ratio = 0;
  double loraplus_lr_embedding = 1e-6;
  RowLengths lengths = {};
  bool completion_only_loss = true;
  bool assistant_only_loss = false;
  bool gradient_checkpointing = false;
  std::string report_to = "none";
  bool json = false;

  static void fields(auto& self, auto&& field) {
    ModelOptions::fields(self.model, field);
    field("dataset_name", self.dataset_name,
          "JSONL or CSV file, or a folder with train.jsonl and perhaps valid.jsonl.", Required{});
    field("task_type", self.task_type,
          "CAUSAL_LM, SEQ_CLS, TOKEN_CLS, QUESTION_ANS, SEQ_2_SEQ_LM, or FEATURE_EXTRACTION for "
          "pairs "
          "of texts.");
    field("problem_type", self.problem_type,
          "SEQ_CLS: regression, single_label_classification or multi_label_classification; "
          "default: told by the labels.");
    field("dataset_text_field", self.dataset_text_field, "Key of plain text rows.");
    ColumnOptions::fields(self.columns, field);
    train::TrainOptions::fields(self.train, field);
    field("use_peft", self.use_peft, "Always true: adapters are what this program trains.");
    field("peft_type", self.peft_type,
          "Method of the adapter: LORA, PROMPT_TUNING, PREFIX_TUNING, P_TUNING, CPT, ...");
    field("peft_config", self.peft_config,
          "Settings of another method than LORA as JSON, with the keys of adapter_config.json.");
    LoraOptions::fields(self.lora, field);
    field("loraplus_lr_ratio", self.loraplus_lr_ratio,
          "LoRA+: the learning rate of B over that of A; 0: the same for both.");
    field("loraplus_lr_embedding", self.loraplus_lr_embedding,
          "LoRA+: the learning rate of adapters on embeddings.");
    field("max_length", self.lengths.max_length,
          "Rows are cut after this many tokens; 0: never. Default: 1024; for QUESTION_ANS, which "
          "reads long contexts in windows of this length, 384.");
    field("doc_stride", self.lengths.doc_stride, kDocStrideHelp);
    field("completion_only_loss", self.completion_only_loss,
          "Learn the completion alone in rows with a prompt.");
    field("assistant_only_loss", self.assistant_only_loss,
          "Learn the assistant's words alone in rows of messages.");
    field("gradient_checkpointing", self.gradient_checkpointing,
          "Compute activations twice to need less memory (TRL: true).");
    field("report_to", self.report_to, "Trackers to report to; none is built in.");
    field("json", self.json, "Write each entry of the log to stdout as a JSON line.");
  }
};

struct Rows {
  std::vector<train::DataRow> train = {}, valid = {};
};

/// The files of the data set; the one for evaluations only where these are asked for.
train::DataFiles find_files(const TrainCommandOptions& options) {
  train::DataFiles files = train::find_data(options.dataset_name);
  if (options.train.eval_strategy == "no") {
    files.valid.reset();
  } else if (!files.valid) {
    throw NotFoundError(fmt::format(
        "{}: no validation set, but --eval_strategy {} asks for one: expected a folder with "
        "train.jsonl and valid.jsonl. Add the file, or train with --eval_strategy no.",
        options.dataset_name.string(), options.train.eval_strategy));
  }
  return files;
}

Rows read_data(const TrainCommandOptions& options) {
  const train::DataFiles files = find_files(options);
  const train::DataRowOptions row_options{.text_field = options.dataset_text_field};
  Rows rows{.train = train::read_rows(files.train, row_options)};
  if (files.valid) rows.valid = train::read_rows(*files.valid, row_options);
  return rows;
}

train::TrainData tokenised(const Rows& rows, const TrainCommandOptions& options,
                           const AdaptedModel& model, const Console& console) {
  const train::ExampleOptions settings{
      .completion_only_loss = options.completion_only_loss,
      .assistant_only_loss = options.assistant_only_loss,
      .max_length = options.lengths.max_length.value_or(kTrainLength)};
  train::TrainData data{.train = examples_of(rows.train, model, settings, console),
                        .valid = examples_of(rows.valid, model, settings, console)};
  if (model.text_or_null() != nullptr) data.pad_id = model.text().pad_id();
  return data;
}

/// The adapter of another method than LoRA, whose settings have flags of their own.
PeftConfig config_of(const TrainCommandOptions& options) {
  Json settings = Json::object();
  if (!options.peft_config.empty()) settings = parse_json(options.peft_config, "--peft_config");
  if (!settings.is_object()) throw UsageError("--peft_config: expected a JSON object.");
  settings["peft_type"] = options.peft_type;
  if (!settings.contains("task_type")) settings["task_type"] = options.task_type;
  settings["base_model_name_or_path"] = options.model.model_name_or_path.string();
  const PeftConfig config = parse_config(settings, "--peft_config");
  const Json* unknown = config.shared().extra;
  if (unknown == nullptr || unknown->empty()) return config;
  throw UsageError(fmt::format("--peft_config: {} has no setting {}.", options.peft_type,
                               quote(unknown->items().begin().key())));
}

void check(const TrainCommandOptions& options) {
  if (options.train.output_dir.empty()) {
    throw UsageError("--output_dir is missing: a folder for the adapter.");
  }
  if (!options.use_peft)
    throw UsageError("--use_peft: expected true: this program trains adapters.");
  if (options.report_to != "none")
    throw UsageError("--report_to: expected none: no tracker is built in.");
  if (options.loraplus_lr_ratio < 0) {
    throw UsageError("--loraplus_lr_ratio: expected a number above 0, or 0 for none.");
  }
  options.lengths.check();
  options.model.wanted_dtype();
  if (options.task_type != "CAUSAL_LM") task_kind(options.task_type);
  checked_flags([&] {
    options.train.validate();
    options.lora.config("");
    if (options.peft_type != "LORA") config_of(options).validate();
  });
}

/// The adapter that a new one is to be.
PeftConfig new_adapter(const TrainCommandOptions& options) {
  if (options.peft_type != "LORA") return config_of(options);
  LoraConfig config = options.lora.config(options.model.model_name_or_path.string());
  config.task_type = options.task_type;
  return config;
}

/// The settings of what is trained: of a new adapter, or of the one that is gone on with.
PeftConfig adapter_config(const TrainCommandOptions& options) {
  if (options.model.adapter.empty()) return new_adapter(options);
  return read_adapter_config(local_adapter(options.model.adapter));
}

int train_with_head(const TrainCommandOptions& options, const Console& console) {
  const train::DataFiles files = find_files(options);
  HeadedTraining training{.model = options.model,
                          .kind = task_kind(options.task_type),
                          .columns = options.columns.columns,
                          .problem_type = options.problem_type,
                          .train_file = files.train,
                          .valid_file = files.valid,
                          .lengths = options.lengths,
                          .tasks = num_tasks(adapter_config(options)),
                          .gradient_checkpointing = options.gradient_checkpointing,
                          .run = {.options = options.train,
                                  .adapter_dir = options.train.output_dir,
                                  .json_log = options.json}};
  if (options.model.adapter.empty()) training.config = new_adapter(options);
  const auto train = training.kind.model == ModelTask::kBody        ? train_embeddings
                     : training.kind.model == ModelTask::kSeq2SeqLM ? train_seq2seq
                                                                    : train_headed;
  const TrainOutcome outcome = train(std::move(training), console);
  console.say(fmt::format("adapter written to {}", options.train.output_dir));
  return outcome.exit_code;
}

/// An adapter that is gone on with keeps its own settings.
void warn_of_unused_flags(const TrainCommandOptions& options, const Console& console) {
  const auto changed = options.lora.changed();
  if (options.model.adapter.empty() || changed.empty()) return;
  console.warning(fmt::format("the adapter of --adapter keeps its own settings: {} not used.",
                              join(changed, ", ") + (changed.size() == 1 ? " is" : " are")));
}

int train_adapter(const TrainCommandOptions& options, Console& console) {
  check(options);
  warn_of_unused_flags(options, console);
  if (options.task_type != "CAUSAL_LM") return train_with_head(options, console);
  Rows rows = read_data(options);  // mistakes in it are told before the model is read
  const int64_t tasks = num_tasks(adapter_config(options));
  settle_tasks(rows.train, options.model.task_id, tasks);
  settle_tasks(rows.valid, options.model.task_id, tasks);
  AdaptedModel model = AdaptedModel::open_base(options.model);
  train::TrainData data = tokenised(rows, options, model, console);
  at::manual_seed(static_cast<uint64_t>(options.train.seed));
  if (!options.model.adapter.empty()) {
    model.go_on_with_adapter();
  } else if (options.peft_type != "LORA") {
    model.put_adapter(config_of(options));
  } else {
    begin_adapter(model, options.lora.config(options.model.model_name_or_path.string()),
                  {.data = data, .options = options.train}, console);
  }
  TrainRun run{.options = options.train,
               .data = std::move(data),
               .adapter_dir = options.train.output_dir,
               .json_log = options.json};
  model.language_model().set_gradient_checkpointing(options.gradient_checkpointing);
  say_what_is_trained(fmt::format("{} rows", run.data.train.size()), model.peft(), console);
  CausalLMTask task(model.peft());
  if (options.loraplus_lr_ratio > 0) {
    task.use_loraplus({.lr = options.train.learning_rate,
                       .loraplus_lr_ratio = options.loraplus_lr_ratio,
                       .loraplus_lr_embedding = options.loraplus_lr_embedding});
  }
  const TrainOutcome outcome = run_training(std::move(run), task, console);
  console.say(fmt::format("adapter written to {}", options.train.output_dir));
  return outcome.exit_code;
}

}  // namespace

Command train_command() {
  return command<TrainCommandOptions>(
      "train", "Train an adapter on a data set.",
      "--model_name_or_path M --dataset_name FILE|DIR --output_dir OUT [--adapter DIR] [FLAGS]",
      train_adapter);
}

}  // namespace peft::cli
