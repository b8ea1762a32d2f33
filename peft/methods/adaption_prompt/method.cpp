#include "peft/adapter/method.h"

#include <ATen/ATen.h>

#include "peft/methods/adaption_prompt/attention.h"
#include "peft/methods/adaption_prompt/config.h"

namespace peft::adaption_prompt {
namespace {

std::string target(const std::string& model_type) {
  if (model_type == "llama" || model_type == "mistral") return "self_attn";
  return model_type == "gpt2" ? "attn" : "";
}

std::vector<std::pair<std::string, at::Tensor>> parameters(const PeftConfig& config, int64_t width,
                                                           const at::Tensor& like) {
  const auto options = like.options().requires_grad(false);
  const int64_t length = *config.as<AdaptionPromptConfig>().adapter_len;
  return {{"adaption_prompt", at::empty({1, length, width}, options).normal_()},
          {"adaption_gate", at::zeros({1}, options)}};
}

constexpr AttentionMethod kAttention{
    .target = target,
    .layers =
        [](const PeftConfig& config) { return *config.as<AdaptionPromptConfig>().adapter_layers; },
    .parameters = parameters,
    .make = [](const std::vector<at::Tensor>& parameters,
               const std::string& model_type) -> std::shared_ptr<const AttentionAddition> {
      // Of GPT-2 Python leaves the last product out.
      return std::make_shared<AdaptedAttention>(parameters[0], parameters[1], model_type != "gpt2");
    },
};

}  // namespace

extern const Method kMethod;
const Method kMethod{
    .name = "ADAPTION_PROMPT",
    .key_prefix = "adaption_",
    .parse =
        [](const Json& object, std::string_view where) {
          return parse_method_config<AdaptionPromptConfig>(object, where);
        },
    .attention = &kAttention,
    .can_merge = false,
};

}  // namespace peft::adaption_prompt
