#pragma once

#include <filesystem>

#include "peft/auto.h"
#include "peft/peft_model_for_causal_lm.h"

namespace peft {

struct AutoPeftOptions {
  FromPretrainedOptions adapter = {};
  AutoOptions base = {};  // how the base model is read
};

/// An adapter with the base model that its config names.
///
/// Source: AutoPeftModelForCausalLM in peft/auto.py.
struct AutoPeftModelForCausalLM {
  /// Opens the base model of an adapter's folder and puts the adapter on it.
  /// Throws: ConfigError (an adapter of another task, or one that names no base), NotFoundError (a
  /// base that is not there), UnsupportedError (a tokenizer beside the adapter with more tokens
  /// than the base has embeddings); and what open_model and from_pretrained throw.
  static PeftModelForCausalLM from_pretrained(const std::filesystem::path& name_or_folder,
                                              const AutoPeftOptions& options = {});
};

/// The same for adapters without a task, whose config names the class of the base model.
///
/// Source: AutoPeftModel in peft/auto.py.
struct AutoPeftModel {
  /// Throws: ConfigError (an adapter with a task_type); UnsupportedError (a class that is no
  /// language model of this library); and what AutoPeftModelForCausalLM throws.
  static PeftModelFor<LanguageModel> from_pretrained(const std::filesystem::path& name_or_folder,
                                                     const AutoPeftOptions& options = {});
};

}  // namespace peft
