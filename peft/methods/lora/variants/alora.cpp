#include "peft/methods/lora/variants/alora.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "peft/base/error.h"
#include "peft/base/json_text.h"
#include "peft/methods/lora/products.h"
#include "peft/tensor/call_tokens.h"

namespace peft::lora {
namespace {

using at::Tensor;

// The rows of x, seen as [B · T, I], that lie in the last offsets[b] places of their sequence.
Tensor rows_from(const std::vector<int64_t>& offsets, int64_t length) {
  std::vector<int64_t> rows;
  for (size_t b = 0; b < offsets.size(); ++b) {
    const auto begin = static_cast<int64_t>(b) * length;
    for (int64_t t = length - std::min(offsets[b], length); t < length; ++t) {
      rows.push_back(begin + t);
    }
  }
  return at::tensor(rows, at::kLong);
}

}  // namespace

std::vector<int64_t> alora_tokens(const LoraConfig& config) {
  const Json& tokens = config.alora_invocation_tokens;
  if (tokens.is_null()) return {};
  const auto is_id = [](const Json& token) {
    return token.is_number_integer() && token.get<int64_t>() >= 0;
  };
  if (!tokens.is_array() || !std::all_of(tokens.begin(), tokens.end(), is_id)) {
    throw ConfigError("LoraConfig: alora_invocation_tokens: expected a list of token ids, got " +
                      dump_json(tokens, {.indent = std::nullopt}) + ".");
  }
  return tokens.get<std::vector<int64_t>>();
}

AloraVariant::AloraVariant(const LoraConfig& config, SiteKind kind)
    : tokens_(alora_tokens(config)), kind_(kind) {}

void AloraVariant::prepare(LoraAdapter&, const VariantSetup& setup) {
  name_ = setup.site.full_name();
}

Tensor AloraVariant::linear(const LoraAdapter& adapter, const LinearCall& call,
                            const Tensor& y) const {
  const auto current = CallTokens::current();
  if (!current) {
    throw UnsupportedError(
        name_ +
        ": alora_invocation_tokens: expected a call whose tokens are known, got one from outside. "
        "Call forward of the PeftModelForCausalLM, or open a peft::CallTokensScope with the ids.");
  }
  const int64_t batch = y.size(0), length = y.dim() == 3 ? y.size(1) : 1;
  std::vector<int64_t> offsets = current->since_last(tokens_);
  if (offsets.empty()) offsets.assign(static_cast<size_t>(batch), 0);
  if (static_cast<int64_t>(offsets.size()) != batch || y.dim() > 3) {
    throw MismatchError(name_ + ": alora_invocation_tokens: expected an input of " +
                        std::to_string(offsets.size()) + " sequences, got one of shape " +
                        c10::str(call.x.sizes()) + ". Do not target layers that see other rows.");
  }
  const Tensor rows = rows_from(offsets, length).to(y.device());
  const Tensor x = call.x.reshape({-1, call.x.size(-1)}).index_select(0, rows);
  const Tensor update = low_rank_product(adapter, dropped(x, call.dropout)) * adapter.scaling;
  return y.reshape({-1, y.size(-1)})
      .index_add(0, rows, update.to(y.scalar_type()))
      .reshape(y.sizes());
}

Tensor AloraVariant::delta(const LoraAdapter& adapter, const Tensor&, const Tensor&) const {
  return weight_change(adapter, kind_);
}

std::string AloraVariant::input_dependence() const {
  return "aLoRA acts on the tokens behind its invocation tokens alone";
}

std::string AloraVariant::merge_obstacle() const { return "aLoRA does not support merging"; }

}  // namespace peft::lora
