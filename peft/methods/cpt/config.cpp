#include "peft/methods/cpt/config.h"

namespace peft {

void CPTConfig::validate() const {
  const char* const name = "CPTConfig";
  if (peft_type != "CPT") throw_prompt_config(name, "peft_type", "'CPT'", "'" + peft_type + "'");
  if (task_type != "CAUSAL_LM") {
    throw_prompt_config(name, "task_type", "CAUSAL_LM, the only one that CPT supports",
                        task_type ? "'" + *task_type + "'" : "null");
  }
  const size_t tokens = cpt_token_ids ? cpt_token_ids->size() : 1;
  if (tokens == 0) throw_prompt_config(name, "cpt_token_ids", "at least one token", "none");
  const auto check = [&](const char* field, const std::optional<std::vector<int64_t>>& values) {
    if (!values || values->size() == tokens) return;
    throw_prompt_config(name, field,
                        "as many values as cpt_token_ids has, which are " + std::to_string(tokens),
                        std::to_string(values->size()));
  };
  check("cpt_mask", cpt_mask);
  check("cpt_tokens_type_mask", cpt_tokens_type_mask);
  if (opt_weighted_loss_type != "none" && opt_weighted_loss_type != "decay") {
    throw_prompt_config(name, "opt_weighted_loss_type", "'none' or 'decay'",
                        "'" + opt_weighted_loss_type + "'");
  }
}

void CPTConfig::complete() {
  num_layers = token_dim = num_attention_heads = std::nullopt;
  num_transformer_submodules = 1;
  if (!cpt_token_ids) cpt_token_ids = std::vector<int64_t>{0};
  const size_t tokens = cpt_token_ids->size();
  num_virtual_tokens = static_cast<int64_t>(tokens);
  if (!cpt_mask) cpt_mask = std::vector<int64_t>(tokens, 1);
  if (!cpt_tokens_type_mask) cpt_tokens_type_mask = std::vector<int64_t>(tokens, 1);
}

}  // namespace peft
