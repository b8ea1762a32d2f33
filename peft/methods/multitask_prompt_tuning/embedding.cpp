#include "peft/methods/multitask_prompt_tuning/embedding.h"

#include <ATen/ATen.h>

#include "peft/adapter/prompt_init.h"
#include "peft/base/error.h"
#include "peft/base/text.h"

namespace peft {
namespace {

constexpr const char* kShared = "prompt_embeddings";
constexpr const char* kCols = "prefix_task_cols";
constexpr const char* kRows = "prefix_task_rows";

bool from_source(const MultitaskPromptTuningConfig& config) {
  const std::string& word = config.prompt_tuning_init;
  return !config.inference_mode && (word == "AVERAGE_SOURCE_TASKS" || word == "EXACT_SOURCE_TASK" ||
                                    word == "ONLY_SOURCE_SHARED");
}

// One task's matrix, or the mean of all.  source [tasks, ...] -> [1, ...]
at::Tensor chosen_task(const at::Tensor& source, const MultitaskPromptTuningConfig& config) {
  if (config.prompt_tuning_init == "AVERAGE_SOURCE_TASKS") return source.mean(0, true);
  const int64_t task = config.prompt_tuning_init_task;
  if (task < 0 || task >= source.size(0)) {
    throw ConfigError("prompt_tuning_init_task: expected a task from 0 to " +
                      std::to_string(source.size(0) - 1) + ", got " + std::to_string(task) +
                      ". The file has no other ones.");
  }
  return source.narrow(0, task, 1);
}

}  // namespace

MultitaskPromptEmbedding::MultitaskPromptEmbedding(const MultitaskPromptTuningConfig& config,
                                                   const PromptFacts& facts) {
  const int64_t tokens = *config.num_virtual_tokens * *config.num_transformer_submodules;
  const int64_t width = *config.token_dim;
  const PromptInit init{
      .word = config.inference_mode ? std::string("RANDOM") : config.prompt_tuning_init,
      .text = config.prompt_tuning_init_text,
      .tokenizer = config.tokenizer_name_or_path,
      .tokenizer_kwargs = config.tokenizer_kwargs};
  embedding_ = register_module(
      "embedding", torch::nn::Embedding(torch::nn::EmbeddingOptions(tokens, width)
                                            ._weight(initial_prompt(init, tokens, width, facts))));
  prefix_task_cols_ = register_parameter(
      kCols, at::normal(0.0, 0.02, {config.num_tasks, tokens, config.num_ranks}));
  prefix_task_rows_ =
      register_parameter(kRows, at::normal(0.0, 0.02, {config.num_tasks, config.num_ranks, width}));
  if (from_source(config)) {
    begin_with(facts.read_tensors(*config.prompt_tuning_init_state_dict_path), config);
  }
}

void MultitaskPromptEmbedding::fill(const at::Tensor& parameter, const at::Tensor& source,
                                    const std::string& name) const {
  if (source.sizes() != parameter.sizes()) {
    throw MismatchError("prompt_tuning_init_state_dict_path: tensor '" + name +
                        "': expected shape " + shape_text(parameter.sizes().vec()) + ", got " +
                        shape_text(source.sizes().vec()) +
                        ". One task begins with source tasks: set num_tasks to 1, and the other "
                        "numbers as they were.");
  }
  parameter.detach().copy_(source);
}

void MultitaskPromptEmbedding::begin_with(const StateDict& source,
                                          const MultitaskPromptTuningConfig& config) {
  const at::NoGradGuard no_grad;
  const auto tensor = [&](const char* name) -> const at::Tensor& {
    if (const at::Tensor* found = source.find(name)) return *found;
    throw MismatchError("prompt_tuning_init_state_dict_path: expected a tensor '" +
                        std::string(name) + "', got " + join_names(source.names()) +
                        ". Name the adapter_model file of a multitask prompt.");
  };
  fill(embedding_->weight, tensor(kShared), kShared);
  if (config.prompt_tuning_init == "ONLY_SOURCE_SHARED") return;
  fill(prefix_task_cols_, chosen_task(tensor(kCols), config), kCols);
  fill(prefix_task_rows_, chosen_task(tensor(kRows), config), kRows);
}

at::Tensor MultitaskPromptEmbedding::forward(const at::Tensor& given) {
  if (!given.defined()) {
    throw ConfigError(
        "task_ids: cannot be None: expected the task of each row for multitask prompt tuning, got "
        "none. Give task_ids to the call.");
  }
  if (!at::isIntegralType(given.scalar_type(), /*includeBool=*/false)) {
    throw ConfigError("task_ids: expected the numbers of tasks as integers, got a tensor of type " +
                      std::string(toString(given.scalar_type())) + ". Convert it to int64.");
  }
  const int64_t tasks = prefix_task_cols_.size(0);
  const at::Tensor task_ids = given.to(prefix_task_cols_.device(), at::kLong);
  if (task_ids.dim() != 1 || task_ids.lt(0).logical_or(task_ids.ge(tasks)).any().item<bool>()) {
    throw ConfigError("task_ids: expected one number from 0 to " + std::to_string(tasks - 1) +
                      " for each row, got a tensor of shape " + shape_text(task_ids.sizes().vec()) +
                      (task_ids.dim() == 1 ? " with other numbers" : "") + ".");
  }
  const at::Tensor cols = prefix_task_cols_.index_select(0, task_ids);
  const at::Tensor rows = prefix_task_rows_.index_select(0, task_ids);
  return embedding_->weight.unsqueeze(0) * at::matmul(cols, rows);
}

StateDict MultitaskPromptEmbedding::state() {
  StateDict tensors;
  tensors.set(kCols, prefix_task_cols_.detach());
  tensors.set(kRows, prefix_task_rows_.detach());
  tensors.set(kShared, embedding_->weight.detach());
  return tensors;
}

std::vector<PromptPlace> MultitaskPromptEmbedding::places() {
  return {
      {kShared, {embedding_->weight}}, {kCols, {prefix_task_cols_}}, {kRows, {prefix_task_rows_}}};
}

}  // namespace peft
