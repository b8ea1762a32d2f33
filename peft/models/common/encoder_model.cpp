#include "peft/models/common/encoder_model.h"

#include <ATen/ATen.h>

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

}  // namespace peft
