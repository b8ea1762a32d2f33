#include "peft/train/run_checkpoint.h"

#include <ATen/CPUGeneratorImpl.h>
#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "peft/base/error.h"
#include "peft/base/file.h"
#include "peft/base/json_fields.h"
#include "peft/base/json_text.h"
#include "peft/base/text.h"
#include "peft/base/warnings.h"

namespace peft::train {

namespace fs = std::filesystem;

namespace {

constexpr const char* kTensors = "optimizer.safetensors";
constexpr const char* kOptimizer = "optimizer.json";
constexpr const char* kScheduler = "scheduler.json";
constexpr const char* kRandom = "rng_state.json";
constexpr const char* kState = "trainer_state.json";
constexpr const char* kArguments = "training_args.json";
constexpr std::string_view kPrefix = "checkpoint-";

void write_json(const fs::path& file, const Json& json) {
  write_file_atomically(file, dump_json(json, {.indent = 2, .final_newline = true}));
}

std::string to_hex(const at::Tensor& bytes) {
  const auto* data = bytes.const_data_ptr<uint8_t>();
  std::string text;
  text.reserve(2 * bytes.numel());
  for (int64_t i = 0; i < bytes.numel(); ++i) text += fmt::format("{:02x}", data[i]);
  return text;
}

at::Tensor from_hex(const std::string& text, const std::string& where) {
  at::Tensor bytes = at::empty({static_cast<int64_t>(text.size() / 2)}, at::kByte);
  auto* data = bytes.mutable_data_ptr<uint8_t>();
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    const auto [end, error] = std::from_chars(&text[i], &text[i] + 2, data[i / 2], 16);
    if (error != std::errc() || end != &text[i] + 2) {
      throw FormatError(
          fmt::format("{}: the generator's state is damaged: expected hexadecimal digits. "
                      "Resume from another checkpoint.",
                      where));
    }
  }
  return bytes;
}

Json random_state() {
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard lock(generator.mutex());
  return {{"cpu", to_hex(generator.get_state())}};
}

void restore_random_state(const fs::path& file) {
  const Json json = read_json_file(file);
  if (!json.is_object() || !json.contains("cpu") || !json["cpu"].is_string()) {
    throw FormatError(
        fmt::format("{}: no state of a generator: expected the key 'cpu'. "
                    "Resume from another checkpoint.",
                    file.string()));
  }
  const at::Tensor state = from_hex(json["cpu"].get<std::string>(), file.string());
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard lock(generator.mutex());
  if (state.numel() != generator.get_state().numel()) {
    throw FormatError(
        fmt::format("{}: the generator's state has another size: expected {} bytes, got {}. "
                    "It was written with another libtorch.",
                    file.string(), generator.get_state().numel(), state.numel()));
  }
  generator.set_state(state);
}

/// Settings of which another value gives another run.
void warn_of_other_settings(const Json& before, const Json& now) {
  for (const char* key : {"per_device_train_batch_size", "gradient_accumulation_steps", "shuffle",
                          "group_by_length", "seed", "learning_rate", "lr_scheduler_type",
                          "warmup_steps", "weight_decay", "max_grad_norm"}) {
    if (!before.contains(key) || before[key] == now[key]) continue;
    warn(
        fmt::format("{} was {} when the checkpoint was written and is {} now: the run goes on with "
                    "the new value.",
                    key, before[key].dump(), now[key].dump()));
  }
}

bool is_whole(const fs::path& folder) {
  constexpr std::array kNeeded = {"adapter_config.json",
                                  "adapter_model.safetensors",
                                  kTensors,
                                  kOptimizer,
                                  kScheduler,
                                  kRandom,
                                  kState,
                                  kArguments};
  return std::all_of(kNeeded.begin(), kNeeded.end(), [&](const char* name) {
    std::error_code error;
    return fs::is_regular_file(folder / name, error) && fs::file_size(folder / name, error) > 0;
  });
}

std::optional<int64_t> step_of(const std::string& name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  return whole_number<int64_t>(std::string_view(name).substr(kPrefix.size()));
}

}  // namespace

void write_run_checkpoint(const fs::path& folder, const RunCheckpoint& checkpoint,
                          TrainTask& task) {
  AtomicFolder target(folder);
  const fs::path& path = target.path();
  task.save_adapter(path);
  task.save_rest(path);
  task.save_tensors(path / kTensors, checkpoint.optimizer.state());
  write_json(path / kOptimizer, checkpoint.optimizer.describe());
  write_json(path / kScheduler, {{"type", checkpoint.options.lr_scheduler_type},
                                 {"base_lr", checkpoint.options.learning_rate},
                                 {"warmup_steps", checkpoint.options.warmup_steps},
                                 {"total_steps", checkpoint.state.max_steps},
                                 {"last_epoch", checkpoint.state.global_step}});
  write_json(path / kRandom, random_state());
  write_json(path / kArguments, peft::to_json(checkpoint.options));
  write_file_atomically(path / kState, trainer_state_text(checkpoint.state));
  target.commit();
}

TrainerState restore_run_checkpoint(const fs::path& folder, const TrainOptions& options,
                                    TrainTask& task, AdamW& optimizer) {
  if (!is_whole(folder)) {
    throw NotFoundError(fmt::format(
        "{}: no whole checkpoint: expected a folder checkpoint-<step> that this program wrote. "
        "Name another one, or resume with 'true'.",
        folder.string()));
  }
  const fs::path state_file = folder / kState;
  TrainerState state = trainer_state_from_json(read_json_file(state_file), state_file.string());
  warn_of_other_settings(read_json_file(folder / kArguments), peft::to_json(options));
  optimizer.load_state(task.load_tensors(folder / kTensors), (folder / kTensors).string());
  task.load_adapter(folder);
  restore_random_state(folder / kRandom);
  return state;
}

std::vector<CheckpointFolder> whole_checkpoints(const fs::path& output_dir) {
  std::vector<CheckpointFolder> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(output_dir, error)) {
    const auto step = step_of(entry.path().filename().string());
    if (step && is_whole(entry.path())) found.push_back({*step, entry.path()});
  }
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return a.step < b.step; });
  return found;
}

std::optional<fs::path> find_checkpoint(const std::string& resume_from_checkpoint,
                                        const fs::path& output_dir) {
  const std::string& resume = resume_from_checkpoint;
  if (resume.empty() || resume == "false" || resume == "False") return std::nullopt;
  if (resume != "true" && resume != "True") return fs::path(resume);
  const auto found = whole_checkpoints(output_dir);
  if (!found.empty()) return found.back().path;
  throw NotFoundError(
      fmt::format("{}: no checkpoint to resume from: expected a folder checkpoint-<step>, got none "
                  "that is whole. "
                  "Start without --resume_from_checkpoint.",
                  output_dir.string()));
}

void delete_old_checkpoints(const fs::path& output_dir, int64_t limit,
                            const std::optional<std::string>& best) {
  if (limit <= 0) return;
  auto found = whole_checkpoints(output_dir);
  const auto written = [](const CheckpointFolder& folder) {
    std::error_code error;
    return fs::last_write_time(folder.path, error);
  };
  // An earlier run may have left higher steps than those that are written now.
  std::stable_sort(found.begin(), found.end(),
                   [&](const auto& a, const auto& b) { return written(a) < written(b); });
  const auto is_best = [&](const CheckpointFolder& folder) {
    std::error_code error;
    return best && fs::equivalent(folder.path, *best, error);
  };
  int64_t surplus = static_cast<int64_t>(found.size()) - limit;
  for (const auto& folder : found) {
    if (surplus <= 0) return;
    // The newest one stays, or the run could not be taken up again.
    if (is_best(folder) || folder.step == found.back().step) continue;
    std::error_code error;
    fs::remove_all(folder.path, error);
    --surplus;
  }
}

}  // namespace peft::train
