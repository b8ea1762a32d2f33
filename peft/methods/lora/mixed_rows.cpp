#include "peft/methods/lora/mixed_rows.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>

#include <algorithm>

#include "peft/methods/lora/products.h"
#include "peft/methods/lora/variants/variant.h"
#include "peft/tensor/block_product.h"
#include "peft/tensor/call_tokens.h"
#include "peft/tensor/product_dtype.h"

namespace peft::lora {
namespace {

using at::Tensor;

// Up to this many rows of a matrix the factors of all adapters are read for every row: reading is
// what a step of generation costs, not multiplying.
constexpr int64_t kFewRows = 64;

// A variant that looks at the tokens of the call sees those of its own rows.
class TokensOfGroup {
 public:
  explicit TokensOfGroup(const RowGroups::Group& group) {
    if (const auto tokens = CallTokens::current()) scope_.emplace(tokens->select(group.rows));
  }

 private:
  std::optional<CallTokensScope> scope_;
};

// The factors exchanged: what is added to x W where W is [O, I] and multiplied as it lies.
LoraAdapter turned(const LoraAdapter& adapter) {
  return {.a = adapter.b.t(), .b = adapter.a.t(), .bias = {}, .scaling = adapter.scaling};
}

}  // namespace

MixedRows::MixedRows(std::string parameter_name, const AdapterRows& rows,
                     std::vector<const LoraAdapter*> adapters)
    : parameter_name_(std::move(parameter_name)),
      rows_(rows),
      groups_(rows),
      adapters_(std::move(adapters)),
      shared_(std::make_shared<Shared>()) {}

std::shared_ptr<const MixedRows> MixedRows::with_rows(const AdapterRows& rows) const {
  auto other = std::make_shared<MixedRows>(parameter_name_, rows, adapters_);
  other->shared_ = shared_;
  return other;
}

template <typename Update>
void MixedRows::each_group(const Update& update) const {
  for (const RowGroups::Group& group : groups_.groups()) {
    if (const LoraAdapter* adapter = adapters_[group.place]) update(*adapter, group);
  }
}

// Whether the calls may be made of bare products: nothing to differentiate, to cast or to vary.
bool MixedRows::is_plain(const Tensor& x, const Tensor& weight) const {
  if (at::GradMode::is_enabled() || x.scalar_type() != weight.scalar_type()) return false;
  if (!x.is_floating_point() || weight.layout() != at::kStrided) return false;
  if (at::autocast::is_autocast_enabled(x.device().type())) return false;
  return std::all_of(adapters_.begin(), adapters_.end(), [](const LoraAdapter* adapter) {
    return adapter == nullptr || (!adapter->variant && !adapter->bias.defined());
  });
}

MixedRows::SideBySide MixedRows::side_by_side(at::ScalarType dtype) const {
  const std::lock_guard lock(shared_->mutex);
  if (!shared_->factors.a.defined() || shared_->dtype != dtype) {
    std::vector<Tensor> a, b;
    for (const LoraAdapter* adapter : adapters_) {
      if (adapter == nullptr) continue;
      a.push_back(adapter->a.detach().to(dtype));
      b.push_back(adapter->b.detach().to(dtype));
    }
    shared_->factors = {.a = at::cat(a, 0), .b = at::cat(b, 1)};
    shared_->dtype = dtype;
  }
  return shared_->factors;
}

// [B, R]: the scaling of a row's adapter over its own ranks, 0 elsewhere.
Tensor MixedRows::mask(const at::TensorOptions& options) const {
  const std::lock_guard lock(mask_mutex_);
  if (mask_.defined() && mask_.dtype() == options.dtype()) return mask_;
  std::vector<int64_t> begin(adapters_.size(), 0);
  int64_t ranks = 0;
  for (size_t place = 0; place < adapters_.size(); ++place) {
    begin[place] = ranks;
    if (adapters_[place] != nullptr) ranks += adapters_[place]->a.size(0);
  }
  const Tensor mask = at::zeros({groups_.batch(), ranks}, at::kFloat);
  auto cells = mask.accessor<float, 2>();
  for (int64_t row = 0; row < groups_.batch(); ++row) {
    const int64_t place = rows_.places[static_cast<size_t>(row)];
    const LoraAdapter* adapter = place < 0 ? nullptr : adapters_[static_cast<size_t>(place)];
    if (adapter == nullptr) continue;
    const int64_t first = begin[static_cast<size_t>(place)];
    for (int64_t rank = first; rank < first + adapter->a.size(0); ++rank) {
      cells[row][rank] = static_cast<float>(adapter->scaling);
    }
  }
  mask_ = mask.to(options);
  return mask_;
}

Tensor MixedRows::all_at_once(const Tensor& x, const Tensor& weight,
                              const std::optional<Tensor>& bias, at::ScalarType dtype) const {
  const Tensor matrix = x.reshape({-1, x.size(-1)}).to(dtype);  // [B T, I]
  const SideBySide factors = side_by_side(dtype);
  Tensor low = frozen_product({.x = matrix, .weight = factors.a, .transposed = true});
  const Tensor own = mask(low.options()).unsqueeze(1);  // [B, 1, R]
  low = low.view({groups_.batch(), -1, low.size(1)}).mul_(own).view(low.sizes());
  return frozen_product({.x = matrix,
                         .weight = weight.to(dtype),
                         .transposed = true,
                         .low = low,
                         .factor = factors.b,
                         .bias = bias && bias->defined() ? bias->to(dtype) : Tensor()});
}

// The product of the base with each row's own update, in one pass over the result.
Tensor MixedRows::one_by_one(const Tensor& x, const Tensor& weight,
                             const std::optional<Tensor>& bias, at::ScalarType dtype) const {
  const Tensor matrix = x.reshape({-1, x.size(-1)}).to(dtype);  // [B T, I]
  const int64_t length = matrix.size(0) / groups_.batch();
  BlockProduct product{.x = matrix,
                       .weight = weight.to(dtype),
                       .transposed = true,
                       .bias = bias && bias->defined() ? bias->to(dtype) : Tensor()};
  std::vector<RowProduct> first;
  int64_t rank = 0;
  for (const RowGroups::Run& run : groups_.runs()) {
    const LoraAdapter* adapter = adapters_[run.place];
    if (adapter == nullptr) continue;
    const int64_t begin = run.first * length, end = run.last * length;
    first.push_back({begin, end, adapter->a.to(dtype), adapter->scaling});
    product.row_factors.push_back({begin, end, adapter->b.to(dtype)});
    rank = std::max(rank, adapter->a.size(0));
  }
  if (!first.empty()) {
    product.low = at::empty({matrix.size(0), rank}, matrix.options());
    row_products(matrix, first, product.low);
  }
  return frozen_product(product);
}

// The general road: plain operators that autograd and autocast know.
Tensor MixedRows::with_operators(const Tensor& x, const Tensor& weight,
                                 const std::optional<Tensor>& bias) const {
  const Tensor product = at::linear(x, weight, bias);
  const Tensor batch = groups_.batched(x, parameter_name_);
  Tensor y = groups_.batched(product, parameter_name_);
  each_group([&](const LoraAdapter& adapter, const RowGroups::Group& group) {
    const Tensor rows = groups_.take(group, batch);
    if (adapter.variant) {
      const TokensOfGroup tokens(group);
      const LinearCall call{.x = rows, .weight = weight, .bias = bias};
      const Tensor of_group = groups_.take(group, y);
      y = groups_.put(group, y,
                      adapter.variant->linear(adapter, call, of_group).to(y.scalar_type()));
      return;
    }
    const Tensor update = low_rank_product(adapter, rows).to(y.scalar_type());
    y = groups_.add(group, y, update * adapter.scaling);
  });
  return y.view(product.sizes());
}

Tensor MixedRows::linear(const Tensor& x, const Tensor& weight,
                         const std::optional<Tensor>& bias) const {
  groups_.batched(x, parameter_name_);
  if (!is_plain(x, weight)) return with_operators(x, weight, bias);
  const int64_t count = x.numel() / std::max<int64_t>(1, x.size(-1));
  const auto dtype = x.is_cpu() ? product_dtype(x.scalar_type(), count) : x.scalar_type();
  auto shape = x.sizes().vec();
  shape.back() = weight.size(0);
  const Tensor y =
      count <= kFewRows ? all_at_once(x, weight, bias, dtype) : one_by_one(x, weight, bias, dtype);
  return y.to(x.scalar_type()).view(shape);
}

Tensor MixedRows::add_turned(const Tensor& y, const Tensor& x) const {
  const Tensor batch = groups_.batched(x, parameter_name_);
  Tensor sum = groups_.batched(y, parameter_name_);
  each_group([&](const LoraAdapter& adapter, const RowGroups::Group& group) {
    const Tensor update = low_rank_product(turned(adapter), groups_.take(group, batch));
    sum = groups_.add(group, sum, update.to(y.scalar_type()) * adapter.scaling);
  });
  return sum.view(y.sizes());
}

Tensor MixedRows::embedding(const Tensor& y, const Tensor& weight, const EmbeddingCall& call,
                            bool is_lookup) const {
  const Tensor indices = groups_.batched(call.indices, parameter_name_);
  Tensor sum = y;
  each_group([&](const LoraAdapter& adapter, const RowGroups::Group& group) {
    EmbeddingCall own = call;
    own.indices = groups_.take(group, indices);
    if (adapter.variant) {
      const TokensOfGroup tokens(group);
      const Tensor varied =
          adapter.variant->embedding(adapter, weight, own, groups_.take(group, sum));
      sum = groups_.put(group, sum, varied.to(y.scalar_type()));
      return;
    }
    const Tensor rows = is_lookup ? adapter.a.t() : adapter.b;  // [V, R]
    const Tensor out = is_lookup ? adapter.b.t() : adapter.a;   // [R, D]
    const Tensor update = low_rank_lookup(rows, out, own) * adapter.scaling;
    sum = groups_.add(group, sum, update.to(y.scalar_type()));
  });
  return sum;
}

Tensor MixedRows::convolution(const Tensor& y, const Tensor& x, const Tensor& weight,
                              const std::optional<Tensor>& bias,
                              const ConvolutionCall& call) const {
  const Tensor batch = groups_.batched(x, parameter_name_);
  Tensor sum = y;
  each_group([&](const LoraAdapter& adapter, const RowGroups::Group& group) {
    const Tensor rows = groups_.take(group, batch);
    if (adapter.variant) {
      const Tensor varied = adapter.variant->convolution(adapter, rows, weight, bias, call, 0.0,
                                                         groups_.take(group, sum));
      sum = groups_.put(group, sum, varied.to(y.scalar_type()));
      return;
    }
    const Tensor update = low_rank_convolution(adapter, rows, call).to(y.scalar_type());
    sum = groups_.add(group, sum, update * adapter.scaling);
  });
  return sum;
}

}  // namespace peft::lora
