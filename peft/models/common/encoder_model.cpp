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
          .cache = cache,
          .decoder_input_ids = there(decoder_input_ids),
          .decoder_inputs_embeds = there(decoder_inputs_embeds),
          .decoder_attention_mask = there(decoder_attention_mask)};
}

void check_one_of(const at::Tensor& ids, const at::Tensor& embeds, std::string_view names) {
  if (ids.defined() != embeds.defined()) return;
  throw ConfigError(fmt::format("{}: expected exactly one of them, got {}.", names,
                                ids.defined() ? "both" : "none"));
}

void refuse_target(const EncoderInput& input) {
  if (!input.decoder_input_ids.defined() && !input.decoder_inputs_embeds.defined() &&
      !input.decoder_attention_mask.defined()) {
    return;
  }
  throw ConfigError(
      "decoder_input_ids, decoder_inputs_embeds, decoder_attention_mask: expected none, as the "
      "model has no decoder beside its encoder, got some. Leave them out.");
}

void check_one_input(const EncoderInput& input) {
  refuse_target(input);
  check_one_of(input.input_ids, input.inputs_embeds, "encoder: input_ids and inputs_embeds");
}

}  // namespace peft
