#include "peft/models/common/linear_cross_entropy.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "peft/models/common/checkpointing.h"
#include "peft/tensor/tag_key.h"

namespace peft {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Logits of one chunk take about this many bytes in float32.
constexpr int64_t kChunkBytes = 48 << 20;

int64_t chunk_rows(int64_t vocab) {
  return std::max<int64_t>(16, kChunkBytes / (vocab * static_cast<int64_t>(sizeof(float))));
}

struct FrozenHead : torch::autograd::Function<FrozenHead> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& hidden,
                            const at::Tensor& weight, const at::Tensor& rows,
                            const at::Tensor& labels) {
    const bool gradient = hidden.requires_grad();
    const auto picked = hidden.index_select(0, rows);  // [M, I]
    auto slope = gradient ? at::empty_like(picked) : at::Tensor();
    const auto count = rows.size(0), chunk = chunk_rows(weight.size(0));
    auto loss = at::zeros({}, hidden.options().dtype(at::kDouble));
    for (int64_t start = 0; start < count; start += chunk) {
      const auto size = std::min(chunk, count - start);
      const auto label = labels.narrow(0, start, size).unsqueeze(1);
      const auto logits = at::mm(picked.narrow(0, start, size), weight.t()).to(at::kFloat);
      auto scores = at::log_softmax(logits, 1);  // [chunk, V]
      loss.sub_(scores.gather(1, label).sum(at::kDouble));
      if (!gradient) continue;
      scores.exp_().scatter_add_(1, label, at::full({size, 1}, -1.0, scores.options()));
      auto out = slope.narrow(0, start, size);
      at::mm_out(out, scores.to(weight.scalar_type()), weight);
    }
    if (gradient) context->save_for_backward({slope, rows});
    context->saved_data["count"] = hidden.size(0);
    return loss.to(at::kFloat);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto& slope = saved[0];
    const auto scale = gradients[0].to(slope.scalar_type());
    auto full = at::zeros({context->saved_data["count"].toInt(), slope.size(1)}, slope.options());
    full.index_copy_(0, saved[1], slope * scale);
    return {full, at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

at::Tensor recomputed_sum(const at::Tensor& hidden, const at::Tensor& weight,
                          const at::Tensor& rows, const at::Tensor& labels) {
  const auto picked = hidden.index_select(0, rows);
  const auto count = rows.size(0), chunk = chunk_rows(weight.size(0));
  auto loss = picked.sum().to(at::kFloat) * 0;
  for (int64_t start = 0; start < count; start += chunk) {
    const auto size = std::min(chunk, count - start);
    const auto label = labels.narrow(0, start, size);
    loss = loss + checkpoint(
                      [weight, label](const at::Tensor& x) {
                        const auto logits = at::linear(x, weight).to(at::kFloat);
                        return at::cross_entropy_loss(logits, label, {}, at::Reduction::Sum);
                      },
                      picked.narrow(0, start, size));
  }
  return loss;
}

}  // namespace

at::Tensor linear_cross_entropy_sum(const at::Tensor& hidden, const at::Tensor& weight,
                                    const at::Tensor& rows, const at::Tensor& labels) {
  if (is_tagged(weight) || weight.requires_grad()) {
    return recomputed_sum(hidden, weight, rows, labels);
  }
  return FrozenHead::apply(hidden, weight, rows, labels);
}

}  // namespace peft
