#include "cli/adapted_model.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/core.h>
#include <sched.h>

#include <cstdlib>

#include "cli/console.h"
#include "cli/hub_progress.h"
#include "cli/row_tasks.h"
#include "peft/base/error.h"
#include "peft/hub/resolve.h"
#include "peft/prompted_language_model.h"
#include "peft/tensor/device.h"
#include "peft/tensor/dtype.h"

namespace peft::cli {

std::optional<at::ScalarType> ModelOptions::wanted_dtype() const {
  if (bf16 && dtype != "auto" && dtype != "bfloat16") {
    throw UsageError(fmt::format("--bf16 and --dtype {} say two things.", dtype));
  }
  if (bf16) return at::kBFloat16;
  if (dtype == "auto") return std::nullopt;
  const auto found = find_dtype(dtype);
  if (!found || !at::isFloatingType(*found)) {
    throw UsageError(
        fmt::format("--dtype: expected auto, float32, bfloat16 or float16, got '{}'.", dtype));
  }
  return found;
}

at::Device ModelOptions::wanted_device() const {
  if (device == "auto") return best_device();
  const auto found = find_device(device);
  if (!found) {
    throw UsageError(fmt::format("--device: expected auto, cpu or cuda, got '{}'.", device));
  }
  return checked_device(*found, "--device");
}

void use_all_cores() {
  if (std::getenv("OMP_NUM_THREADS") != nullptr) return;
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0)
    at::set_num_threads(CPU_COUNT(&allowed));
}

/// A wrong path is told before the model is read, which takes seconds or minutes.
static void check_adapter_folder(const std::filesystem::path& folder) {
  std::error_code error;
  if (folder.empty() || std::filesystem::exists(folder / "adapter_config.json", error)) return;
  throw NotFoundError(fmt::format(
      "{}: no adapter: expected a folder with adapter_config.json{}. Check --adapter.",
      folder.string(), std::filesystem::exists(folder, error) ? "" : ", got nothing of that name"));
}

// A folder of the Hub is brought here first.
std::filesystem::path local_adapter(const std::filesystem::path& folder_or_id) {
  const Console console = standard_console();
  auto folder = hub::adapter_folder(folder_or_id, {.progress = transfer_bar(console, "adapter")});
  check_adapter_folder(folder);
  return folder;
}

std::shared_ptr<formats::Checkpoint> open_base_checkpoint(const ModelOptions& options) {
  const Console console = standard_console();
  const auto base =
      hub::model_folder(options.model_name_or_path, {.progress = transfer_bar(console, "model")});
  use_all_cores();
  return formats::Checkpoint::open(base);
}

AdaptedModel::AdaptedModel(const ModelOptions& options,
                           std::shared_ptr<formats::Checkpoint> checkpoint)
    : task_id_(options.task_id) {
  const auto dtype = options.wanted_dtype();
  const auto device = options.wanted_device();
  if (!options.adapter.empty()) adapter_ = local_adapter(options.adapter);
  base_.checkpoint = checkpoint ? std::move(checkpoint) : open_base_checkpoint(options);
  reading_ = read_tokenizer_beside(base_.checkpoint);
  base_.model = load_language_model(base_.checkpoint, {.dtype = dtype, .device = device});
}

AdaptedModel AdaptedModel::open_base(const ModelOptions& options) {
  AdaptedModel model(options);
  model.base_.text = model.reading_.get();
  return model;
}

// Whatever adapters there are, the model is ready now.
void AdaptedModel::finish() {
  check_task_flag(task_id_, num_tasks());
  read_as_tasks(task_ids());
  base_.model->eval();
  base_.text = reading_.get();
}

AdaptedModel AdaptedModel::open(const ModelOptions& options) {
  AdaptedModel model(options);
  if (!options.adapter.empty()) {
    model.peft_ = PeftModelForCausalLM::from_pretrained(model.base_.model, model.adapter_);
  }
  model.finish();
  return model;
}

AdaptedModel AdaptedModel::open(const ModelOptions& options,
                                const std::vector<NamedAdapter>& adapters,
                                std::shared_ptr<formats::Checkpoint> checkpoint) {
  std::vector<std::filesystem::path> folders;
  for (const NamedAdapter& adapter : adapters) folders.push_back(local_adapter(adapter.folder));
  AdaptedModel model(options, std::move(checkpoint));
  for (size_t i = 0; i < adapters.size(); ++i) {
    if (model.peft_) {
      model.peft_->load_adapter(folders[i], adapters[i].name);
    } else {
      model.peft_ = PeftModelForCausalLM::from_pretrained(model.base_.model, folders[i],
                                                          {.adapter_name = adapters[i].name});
    }
  }
  model.finish();
  return model;
}

void AdaptedModel::put_adapter(const PeftConfig& config) {
  peft_.emplace(base_.model, config);
  read_as_tasks(task_ids());
}

void AdaptedModel::take_adapter_out() {
  if (!peft_) return;
  prompted_.reset();
  peft_->unload();
  peft_.reset();
}

// Commands that know nothing of adapters read the model with its prompt.
void AdaptedModel::read_as_tasks(const at::Tensor& task_ids) {
  if (!peft_ || !peft_->tuner().is_prompt_learning()) return;
  prompted_ = std::make_shared<PromptedLanguageModelImpl>(peft_->shared_tuner(), task_ids);
}

int64_t AdaptedModel::num_tasks() const {
  if (!peft_ || peft_->tuner().active_adapters().empty()) return 0;
  return cli::num_tasks(peft_->tuner().config(peft_->tuner().active_adapters().front()));
}

std::optional<int64_t> AdaptedModel::task_of(const std::optional<int64_t>& own,
                                             const std::string& where) const {
  return task_of_row(own, task_id_, num_tasks(), where);
}

void AdaptedModel::go_on_with_adapter() {
  peft_ = PeftModelForCausalLM::from_pretrained(base_.model, adapter_, {.is_trainable = true});
}

at::Tensor AdaptedModel::task_ids() const {
  return task_id_ < 0 ? at::Tensor() : at::tensor({task_id_}, at::kLong);
}

const ChatTokenizer& AdaptedModel::text() const {
  if (base_.text) return *base_.text;
  throw ConfigError(
      fmt::format("{}: no tokenizer: expected a file tokenizer.json in this folder. "
                  "Copy it from the model's repository.",
                  base_.checkpoint->path().string()));
}

PeftModelForCausalLM& AdaptedModel::peft() {
  if (peft_) return *peft_;
  throw ConfigError("the model has no adapter: expected --adapter DIR.");
}

}  // namespace peft::cli
