#pragma once

#include <filesystem>

#include "peft/auto.h"
#include "peft/peft_model_for_causal_lm.h"
#include "peft/peft_model_for_feature_extraction.h"
#include "peft/peft_model_for_question_answering.h"
#include "peft/peft_model_for_seq2seq_lm.h"
#include "peft/peft_model_for_sequence_classification.h"
#include "peft/peft_model_for_token_classification.h"

namespace peft {

struct AutoPeftOptions {
  FromPretrainedOptions adapter = {};
  AutoOptions base = {};  // how the base model is read
};

/// An adapter with the base model that its config names, one class a task. Each opens the base
/// model of an adapter's folder and puts the adapter on it; a head has as many labels as the one
/// that is saved with the adapter, unless `options.base.config` gives "num_labels".
/// Throw: ConfigError (an adapter of another task, or one that names no base), NotFoundError (a
/// base that is not there), UnsupportedError (a tokenizer beside the adapter with more tokens than
/// the base has embeddings); and what load_model and from_pretrained throw.
///
/// Source: peft/auto.py.
struct AutoPeftModelForCausalLM {
  static PeftModelForCausalLM from_pretrained(const std::filesystem::path& name_or_folder,
                                              const AutoPeftOptions& options = {});
};

struct AutoPeftModelForSeq2SeqLM {
  static PeftModelForSeq2SeqLM from_pretrained(const std::filesystem::path& name_or_folder,
                                               const AutoPeftOptions& options = {});
};

struct AutoPeftModelForSequenceClassification {
  static PeftModelForSequenceClassification from_pretrained(
      const std::filesystem::path& name_or_folder, const AutoPeftOptions& options = {});
};

struct AutoPeftModelForTokenClassification {
  static PeftModelForTokenClassification from_pretrained(
      const std::filesystem::path& name_or_folder, const AutoPeftOptions& options = {});
};

struct AutoPeftModelForQuestionAnswering {
  static PeftModelForQuestionAnswering from_pretrained(const std::filesystem::path& name_or_folder,
                                                       const AutoPeftOptions& options = {});
};

struct AutoPeftModelForFeatureExtraction {
  static PeftModelForFeatureExtraction from_pretrained(const std::filesystem::path& name_or_folder,
                                                       const AutoPeftOptions& options = {});
};

/// The number of labels of the head (`classifier`, `score`) that is saved in an adapter's folder;
/// nullopt: it holds none.  Throws: FormatError.
std::optional<int64_t> saved_num_labels(const std::filesystem::path& folder);

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
