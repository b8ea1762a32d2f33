#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cli/lora_options.h"
#include "cli/options.h"
#include "peft/auto.h"
#include "peft/peft_model_for_causal_lm.h"

namespace peft::cli {

/// The flags that every command with a model has.
struct ModelOptions {
  std::filesystem::path model_name_or_path = {};
  std::filesystem::path adapter = {};
  std::string dtype = "auto";
  bool bf16 = false;
  std::string device = "auto";
  int64_t task_id = -1;

  static void fields(auto& self, auto&& field) {
    field("model_name_or_path", self.model_name_or_path,
          "Checkpoint folder, .gguf file or repository of the Hub.", Required{});
    field("adapter", self.adapter,
          "Folder or repository of the Hub with an adapter to put on the model.");
    field("dtype", self.dtype,
          "Type of the base's weights: auto (the file's; for GGUF bfloat16 where the processor "
          "multiplies it, else float32), float32, bfloat16 or float16.");
    field("bf16", self.bf16, "The same as --dtype bfloat16.");
    field(
        "device", self.device,
        "What computes: auto (a GPU where libtorch serves one, else the CPU), cpu, cuda, cuda:1.");
    field(
        "task_id", self.task_id,
        "Task of the texts, for an adapter that tells tasks apart; a row of data that names one as "
        "task_id has its own.");
  }

  /// Throws: UsageError (no such word), ConfigError (a device that is not there).
  at::Device wanted_device() const;

  /// nullopt for auto.  Throws: UsageError.
  std::optional<at::ScalarType> wanted_dtype() const;
};

/// An adapter's folder, or repository of the Hub, and the name that it gets.
struct NamedAdapter {
  std::string name = {};
  std::filesystem::path folder = {};
};

/// A base model with its tokenizer and, where one was asked for, an adapter.
class AdaptedModel {
 public:
  /// For inference: the adapter of `options`, if any, is frozen.
  static AdaptedModel open(const ModelOptions& options);
  /// For inference with several adapters, the first one active, in the place of that of `options`.
  /// `checkpoint`: that of the options where it is open already.
  static AdaptedModel open(const ModelOptions& options, const std::vector<NamedAdapter>& adapters,
                           std::shared_ptr<formats::Checkpoint> checkpoint = nullptr);
  /// The base alone: put_adapter or go_on_with_adapter follows.
  static AdaptedModel open_base(const ModelOptions& options);

  /// Puts a new LoRA adapter on the base. Throws: what get_peft_model throws.
  void put_adapter(const LoraConfig& config) { put_adapter(PeftConfig(config)); }
  /// The same for an adapter of any method.
  void put_adapter(const PeftConfig& config);
  /// Takes the adapter out again; the base is as it was.
  void take_adapter_out();
  /// Puts the adapter of `options` on the base, to be trained on.
  void go_on_with_adapter();

  const OpenedModel& base() const { return base_; }
  /// The model with its adapters.
  LanguageModelImpl& language_model() const { return prompted_ ? *prompted_ : *base_.model; }

  /// Throws: ConfigError where the checkpoint has no tokenizer.
  const ChatTokenizer& text() const;
  /// Null where the checkpoint has no tokenizer.
  const ChatTokenizer* text_or_null() const { return base_.text.get(); }

  /// The number of tasks that the active adapter tells apart; 0: there is none that does.
  int64_t num_tasks() const;
  /// The task of a row that names `own` or none: see task_of_row.
  std::optional<int64_t> task_of(const std::optional<int64_t>& own, const std::string& where) const;
  /// The tasks of the rows that language_model() reads next, [B]; [1] for rows of one task.
  void read_as_tasks(const at::Tensor& task_ids);
  /// The task of every row, [1]; undefined: none was given.
  at::Tensor task_ids() const;

  /// Throws: ConfigError where there is no adapter.
  PeftModelForCausalLM& peft();
  /// Null where there is no adapter.
  PeftModelForCausalLM* peft_or_null() { return peft_ ? &*peft_ : nullptr; }

 private:
  explicit AdaptedModel(const ModelOptions& options,
                        std::shared_ptr<formats::Checkpoint> checkpoint = nullptr);

  void finish();

  OpenedModel base_;
  std::future<std::shared_ptr<const ChatTokenizer>> reading_;  // until the adapters are loaded
  std::filesystem::path adapter_;  // its local folder; empty: none was asked for
  int64_t task_id_ = -1;           // below 0: none was given
  std::optional<PeftModelForCausalLM> peft_;
  LanguageModel prompted_;  // with the prompt before its tokens; null: no adapter is one
};

/// The local folder of an adapter, brought from the Hub where it has to be.
/// Throws: NotFoundError where it holds no adapter.
std::filesystem::path local_adapter(const std::filesystem::path& folder_or_id);

/// The checkpoint of a base model, brought from the Hub where it has to be; what is done with it
/// uses every core.  Throws: NotFoundError, FormatError.
std::shared_ptr<formats::Checkpoint> open_base_checkpoint(const ModelOptions& options);

/// Uses every core that this process may run on, unless OMP_NUM_THREADS says otherwise.
void use_all_cores();

}  // namespace peft::cli
