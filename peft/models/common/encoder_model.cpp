#include "peft/models/common/encoder_model.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "peft/base/error.h"

namespace peft {
namespace {

bool is_of_pooler(const std::string& parameter) {
  return parameter.starts_with("pooler.") || parameter.find(".pooler.") != std::string::npos;
}

}  // namespace

bool EncoderModelImpl::may_lack(const std::string& parameter) const {
  return is_of_pooler(parameter);
}

bool TaskModelImpl::may_lack(const std::string& parameter) const {
  return is_of_pooler(parameter) || !parameter.starts_with(base_model_prefix() + ".");
}

EncoderInput EncoderInput::to(at::Device device) const {
  const auto there = [&](const at::Tensor& tensor) {
    return tensor.defined() ? tensor.to(device) : tensor;
  };
  return {.input_ids = there(input_ids),
          .inputs_embeds = there(inputs_embeds),
          .attention_mask = there(attention_mask),
          .token_type_ids = there(token_type_ids),
          .position_ids = there(position_ids),
          .cache = cache};
}

void check_one_input(const EncoderInput& input) {
  if (input.input_ids.defined() != input.inputs_embeds.defined()) return;
  throw ConfigError(
      fmt::format("encoder: input_ids and inputs_embeds: expected exactly one of them, got {}.",
                  input.input_ids.defined() ? "both" : "none"));
}

}  // namespace peft
