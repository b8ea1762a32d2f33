#include "peft/methods/p_tuning/config.h"

#include "peft/base/json_text.h"

namespace peft {

void PromptEncoderConfig::validate() const {
  const char* const name = "PromptEncoderConfig";
  if (peft_type != "P_TUNING") {
    throw_prompt_config(name, "peft_type", "'P_TUNING'", "'" + peft_type + "'");
  }
  check_prompt_fields(name, PeftConfig(*this).shared());
  const std::string& type = encoder_reparameterization_type;
  if (type != "MLP" && type != "LSTM") {
    throw_prompt_config(name, "encoder_reparameterization_type", "'MLP' (recommended) or 'LSTM'",
                        "'" + type + "'");
  }
  if (encoder_num_layers < 1 || encoder_num_layers > 1024) {
    throw_prompt_config(name, "encoder_num_layers", "a number from 1 to 1024",
                        std::to_string(encoder_num_layers));
  }
  if (!(encoder_dropout >= 0.0 && encoder_dropout <= 1.0)) {
    throw_prompt_config(name, "encoder_dropout", "a probability between 0 and 1",
                        python_float(encoder_dropout));
  }
}

}  // namespace peft
