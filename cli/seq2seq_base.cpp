#include "cli/seq2seq_base.h"

#include <ATen/ATen.h>

#include "cli/row_tasks.h"
#include "peft/task_examples.h"

namespace peft::cli {

namespace {

// Newer checkpoints keep it in a file of its own, which counts before config.json.
GenerateOptions generation_of(const formats::Checkpoint& checkpoint) {
  Json config = checkpoint.config();
  const Json own = checkpoint.generation_config();
  if (!own.is_object()) return generate_options_of(config);
  for (const auto& [key, value] : own.items()) {
    if (!value.is_null()) config[key] = value;
  }
  return generate_options_of(config);
}

}  // namespace

bool is_encoder_decoder(const Json& model_config) {
  const auto flag = model_config.find("is_encoder_decoder");
  if (flag != model_config.end() && flag->is_boolean()) return flag->get<bool>();
  const std::string type = model_config.value("model_type", "");
  return type == "t5" || type == "mt5" || type == "bart";
}

Seq2SeqBase open_seq2seq(const ModelOptions& options,
                         std::shared_ptr<formats::Checkpoint> checkpoint) {
  const auto dtype = options.wanted_dtype();
  const auto device = options.wanted_device();
  if (checkpoint == nullptr) checkpoint = open_base_checkpoint(options);
  return {.model = load_model_as<Seq2SeqModelImpl>(checkpoint, ModelTask::kSeq2SeqLM,
                                                   {.dtype = dtype, .device = device}),
          .text = ChatTokenizer::from_checkpoint(*checkpoint),
          .generation = generation_of(*checkpoint)};
}

std::optional<PeftModelForSeq2SeqLM> put_adapters(const Seq2SeqBase& base,
                                                  const ModelOptions& options,
                                                  const std::vector<NamedAdapter>& adapters) {
  std::optional<PeftModelForSeq2SeqLM> model;
  int64_t tasks = 0;
  for (const NamedAdapter& adapter : adapters) {
    if (model) {
      model->load_adapter(adapter.folder, adapter.name);
      continue;
    }
    tasks = num_tasks(read_adapter_config(adapter.folder));
    model = PeftModelForSeq2SeqLM::from_pretrained(base.model, adapter.folder,
                                                   {.adapter_name = adapter.name});
  }
  check_task_flag(options.task_id, tasks);
  task_of_row(std::nullopt, options.task_id, tasks, "--task_id");
  base.model->eval();
  return model;
}

std::vector<std::string> write_targets(PeftModelForSeq2SeqLM& model, const Seq2SeqBase& base,
                                       const std::vector<train::TaskRow>& rows, int64_t max_length,
                                       int64_t max_new_tokens) {
  std::vector<std::vector<int64_t>> sources;
  for (const train::TaskRow& row : rows) {
    sources.push_back(encode_task_row(row, train::RowTask::kSeq2SeqLM, {}, base.text->tokenizer(),
                                      {.max_length = max_length})
                          .example.input_ids);
  }
  GenerateOptions options = base.generation;
  options.max_new_tokens = max_new_tokens;
  const TaskCall call{.task_ids = tasks_of(rows)};
  std::vector<std::string> targets;
  for (const Continuation& target : model.generate(sources, options, call)) {
    targets.push_back(base.text->tokenizer().decode(target.tokens));
  }
  return targets;
}

}  // namespace peft::cli
