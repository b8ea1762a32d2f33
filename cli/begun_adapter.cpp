#include "cli/begun_adapter.h"

#include <fmt/core.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "peft/adapter_folder.h"
#include "peft/lora_init.h"
#include "peft/methods/lora/init/words.h"
#include "peft/train/collate.h"

namespace peft::cli {

namespace {

constexpr size_t kRows = 256;  // that CorDA and LoRA-GA look at: the number of CorDA's paper

/// Rows in the file's order, `size` a batch.
std::vector<train::Batch> first_batches(const train::TrainData& data, size_t rows, size_t size) {
  std::vector<train::Batch> batches;
  rows = std::min(rows, data.train.size());
  for (size_t begin = 0; begin < rows; begin += size) {
    std::vector<size_t> chosen(std::min(size, rows - begin));
    std::iota(chosen.begin(), chosen.end(), begin);
    batches.push_back(train::collate(data.train, chosen, data.pad_id));
  }
  return batches;
}

LanguageModelInput input_of(const train::Batch& batch) {
  return {.input_ids = batch.input_ids, .attention_mask = batch.attention_mask};
}

void preprocess(const LanguageModel& base, LoraConfig& config, const Beginnings& beginnings) {
  const std::string word = config.init_lora_weights.word();
  if (lora::init_kind_of_word(word) == lora::InitKind::kCorda) {
    preprocess_corda(base, config, [&] {
      const at::NoGradGuard no_grad;
      for (const auto& row : first_batches(beginnings.data, kRows, 1)) base->forward(input_of(row));
    });
  } else if (word == "lora_ga") {
    const auto size = static_cast<size_t>(beginnings.options.per_device_train_batch_size);
    preprocess_loraga(base, config, [&] {
      for (const auto& batch : first_batches(beginnings.data, kRows, size)) {
        if (batch.counted == 0) continue;
        (base->loss_sum(input_of(batch), batch.labels) / batch.counted).backward();
      }
    });
  }
}

void find_components(PeftModelForCausalLM& peft, const LanguageModel& base,
                     const EvaConfig& settings, const Beginnings& beginnings) {
  const auto size = static_cast<size_t>(beginnings.options.per_device_train_batch_size);
  const auto targets = peft.tuner().targeted_modules();
  const bool head =
      std::find(targets.begin(), targets.end(), peft.tuner().facts().output_head) != targets.end();
  std::vector<EvaBatch> batches;
  for (const auto& batch : first_batches(beginnings.data, beginnings.data.train.size(), size)) {
    const auto forward = [base, batch, head] {
      // Without the head, whose logits are large and that nobody asked for.
      head ? base->forward(input_of(batch)) : base->hidden_states(input_of(batch));
    };
    batches.push_back(
        {.forward = forward,
         .mask = eva_mask(batch.input_ids, batch.attention_mask, batch.labels, settings)});
  }
  initialize_lora_eva_weights(peft, batches);
}

/// As Python's examples keep it: the values alone, to be told from those after the training.
void keep_initial(const PeftModelForCausalLM& peft, const std::filesystem::path& folder) {
  LoraConfig config = peft.peft_config("default").as<LoraConfig>();
  config.init_lora_weights = true;
  config.inference_mode = true;
  write_adapter(folder, PeftConfig(std::move(config)), peft.state_dict());
}

}  // namespace

void begin_adapter(AdaptedModel& model, LoraConfig config, const Beginnings& beginnings,
                   const Console& console) {
  const LanguageModel& base = model.base().model;
  preprocess(base, config, beginnings);
  model.put_adapter(config);
  if (config.init_lora_weights.is_bool()) return;
  if (config.init_lora_weights.word() == "eva") {
    find_components(model.peft(), base, config.eva_config.value_or(EvaConfig()), beginnings);
  }
  const auto folder = std::filesystem::path(beginnings.options.output_dir) / "initial";
  keep_initial(model.peft(), folder);
  console.say(fmt::format("the adapter's first values are in {}", folder.string()));
}

}  // namespace peft::cli
