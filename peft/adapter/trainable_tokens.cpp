#include "peft/adapter/trainable_tokens.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "peft/base/error.h"
#include "peft/base/json_text.h"

namespace peft {
namespace {

using at::Tensor;

[[noreturn]] void throw_not_rows(const Json& got) {
  throw ConfigError(
      "trainable_token_indices: expected a list of token ids, or lists by module name, got " +
      dump_json(got, {.indent = std::nullopt}) + ".");
}

std::vector<int64_t> parse_indices(const Json& list) {
  const auto is_index = [](const Json& each) { return each.is_number_integer(); };
  if (!list.is_array() || !std::all_of(list.begin(), list.end(), is_index)) throw_not_rows(list);
  return list.get<std::vector<int64_t>>();
}

// The rows for a site: a list is meant for whichever embedding it came to, lists by name for the
// first name that fits.
std::vector<int64_t> indices_for(const Json& field, const std::string& module) {
  for (const TokenRows& rows : parse_token_rows(field)) {
    if (rows.module.empty() || module.ends_with(rows.module)) return rows.indices;
  }
  return {};
}

void check_indices(const std::vector<int64_t>& indices, const Site& site) {
  const auto refuse = [&](const std::string& expected, int64_t got) {
    throw ConfigError("trainable_token_indices: '" + site.module_name + "': expected " + expected +
                      ", got " + std::to_string(got) + ".");
  };
  std::vector<int64_t> sorted = indices;
  std::sort(sorted.begin(), sorted.end());
  for (size_t i = 0; i < sorted.size(); ++i) {
    if (sorted[i] < 0 || sorted[i] >= site.weight_shape[0]) {
      refuse("rows from 0 to " + std::to_string(site.weight_shape[0] - 1), sorted[i]);
    }
    if (i > 0 && sorted[i] == sorted[i - 1]) refuse("each row once", sorted[i]);
  }
}

Site hung_in_token_adapter(Site site) {
  site.slot_path = "token_adapter";
  return site;
}

}  // namespace

std::vector<TokenRows> parse_token_rows(const Json& field) {
  if (field.is_null()) return {};
  if (field.is_array()) return {{.module = "", .indices = parse_indices(field)}};
  if (!field.is_object()) throw_not_rows(field);
  std::vector<TokenRows> rows;
  for (const auto& [module, list] : field.items()) {
    if (module.empty()) throw_not_rows(field);
    rows.push_back({.module = module, .indices = parse_indices(list)});
  }
  return rows;
}

TrainableTokensLayer::TrainableTokensLayer(Site site)
    : TunerLayer(hung_in_token_adapter(std::move(site))) {}

void TrainableTokensLayer::add(const std::string& name, const PeftConfig& config,
                               at::ScalarType dtype) {
  const Json* field = config.shared().trainable_token_indices;
  const auto wanted = indices_for(field == nullptr ? Json(nullptr) : *field, site().module_name);
  check_indices(wanted, site());
  Rows rows{.indices = at::tensor(wanted, at::TensorOptions(at::kLong)).to(site().device)};
  std::tie(rows.sorted, rows.order) = rows.indices.sort();
  const auto options = at::TensorOptions().dtype(dtype).device(site().device);
  const auto count = static_cast<int64_t>(wanted.size());
  rows.values = slots().add("trainable_tokens_delta", name, "",
                            at::zeros({count, site().weight_shape[1]}, options));
  adapters_[name] = std::move(rows);
  refresh();
}

BaseChange TrainableTokensLayer::initialise(const std::string& name, const PeftConfig&,
                                            const Tensor& weight) {
  const at::NoGradGuard no_grad;
  Rows& rows = adapters_.at(name);
  rows.values.copy_(weight.index_select(0, rows.indices));
  return {};
}

void TrainableTokensLayer::remove(const std::string& name) {
  slots().remove(name);
  adapters_.erase(name);
  refresh();
}

// A model that is moved takes its parameters along; the positions follow them here.
TrainableTokensLayer::Rows TrainableTokensLayer::rows_of(const std::string& name) const {
  Rows rows = adapters_.at(name);
  for (Tensor* positions : {&rows.indices, &rows.sorted, &rows.order}) {
    *positions = positions->to(rows.values.device());
  }
  return rows;
}

Tensor TrainableTokensLayer::weight_after(const std::string& name, const Tensor& weight) const {
  const Rows rows = rows_of(name);
  return weight.index_copy(0, rows.indices, rows.values.to(weight.scalar_type()));
}

Tensor TrainableTokensLayer::delta_of(const std::string& name, const Tensor& weight) const {
  return weight_after(name, weight) - weight;
}

Tensor TrainableTokensLayer::replaced(const Tensor& weight) const {
  return weight_after(present_adapters().front(), weight);
}

std::string TrainableTokensLayer::merge_conflict(const std::string& name,
                                                 const std::vector<std::string>& before) const {
  for (const std::string& other : before) {
    if (other == name || !has(other)) continue;
    const Tensor both = at::isin(adapters_.at(name).indices, adapters_.at(other).indices);
    if (both.any().item<bool>()) {
      return "adapters '" + other + "' and '" + name +
             "' train the same tokens: expected tokens that only one of them trains";
    }
  }
  return {};
}

// The trained rows are looked up in their own small matrix, so that the whole weight is never
// copied.
Tensor TrainableTokensLayer::embedding(const Tensor& weight, const EmbeddingCall& call) const {
  const Rows rows = rows_of(present_adapters().front());
  const Tensor y =
      at::embedding(weight, call.indices, call.padding_idx, call.scale_grad_by_freq, call.sparse);
  const Tensor ids = call.indices.flatten().to(at::kLong);
  const int64_t count = rows.sorted.size(0);
  if (count == 0 || ids.numel() == 0) return y;
  const Tensor near = at::searchsorted(rows.sorted, ids).clamp_max(count - 1);
  const Tensor places = (rows.sorted.index_select(0, near) == ids).nonzero().flatten();  // of ids
  const Tensor own = rows.order.index_select(0, near.index_select(0, places));  // rows of `values`
  int64_t own_padding = -1;
  if (call.padding_idx >= 0) {
    const Tensor padding = (rows.indices == call.padding_idx).nonzero();
    if (padding.numel() > 0) own_padding = padding.item<int64_t>();
  }
  const Tensor values = at::embedding(rows.values.to(weight.scalar_type()), own, own_padding,
                                      call.scale_grad_by_freq, false);
  return y.reshape({-1, y.size(-1)}).index_copy(0, places, values).view(y.sizes());
}

// The head's scores of the trained tokens are made from their rows.
Tensor TrainableTokensLayer::linear(const Tensor& x, const Tensor& weight,
                                    const std::optional<Tensor>& bias) const {
  const Rows rows = rows_of(present_adapters().front());
  std::optional<Tensor> own_bias;
  if (bias && bias->defined()) own_bias = bias->index_select(0, rows.indices);
  const Tensor y = at::linear(x, weight, bias);
  const Tensor own = at::linear(x, rows.values.to(weight.scalar_type()), own_bias);
  return y.index_copy(-1, rows.indices, own);
}

Tensor TrainableTokensLayer::transposed_linear(const Tensor& x, const Tensor& weight,
                                               const std::optional<Tensor>& bias) const {
  const Tensor y = at::matmul(x, replaced(weight));
  return bias && bias->defined() ? y + *bias : y;
}

Tensor TrainableTokensLayer::convolution(const Tensor&, const Tensor&, const std::optional<Tensor>&,
                                         const ConvolutionCall&) const {
  throw UnsupportedError(parameter_name() +
                         ": trainable_token_indices: expected an embedding or a product, got a "
                         "convolution. Take this module out of trainable_token_indices.");
}

}  // namespace peft
