#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "peft/models/common/language_model.h"
#include "peft/peft_model_for_causal_lm.h"
#include "peft/train/collate.h"

namespace peft::cli {

/// How likely a model finds one row.
struct RowScore {
  double loss_sum = 0;               // over the counted tokens
  int64_t num_tokens = 0;            // counted
  std::vector<float> logprobs = {};  // of each token after the first
};

/// Rows that differ in their adapters.
struct RowAdapters {
  PeftModelForCausalLM* model = nullptr;  // null: no adapters, or the active ones for all rows
  std::vector<std::string> names = {};    // of each example: an adapter's, or "__base__"
};

/// The log-probability of each token given those before it. The logits of a few hundred tokens
/// exist at a time.
std::vector<RowScore> score_rows(LanguageModelImpl& model,
                                 const std::vector<train::Example>& examples,
                                 const std::vector<size_t>& rows, const RowAdapters& adapters = {});

}  // namespace peft::cli
