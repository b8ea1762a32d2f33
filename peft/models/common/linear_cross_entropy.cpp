#include "peft/models/common/linear_cross_entropy.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "peft/models/common/checkpointing.h"
#include "peft/models/common/fused.h"
#include "peft/models/common/project.h"
#include "peft/tensor/block_product.h"
#include "peft/tensor/product_dtype.h"
#include "peft/tensor/tag_key.h"

namespace peft {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Logits of one chunk take about this many bytes.
constexpr int64_t kChunkBytes = 48 << 20;

int64_t chunk_rows(const at::Tensor& weight, at::ScalarType dtype) {
  const auto row_bytes = weight.size(0) * static_cast<int64_t>(at::elementSize(dtype));
  return std::max<int64_t>(16, kChunkBytes / row_bytes);
}

// Sum of the losses of a chunk. With `gradient` the logits [C, V] become their own gradient.
double chunk_loss(at::Tensor& logits, const at::Tensor& labels, bool gradient) {
  const auto rows = logits.size(0), vocab = logits.size(1);
  const auto* label = labels.const_data_ptr<int64_t>();
  std::vector<double> losses(static_cast<size_t>(rows));
  fused::dispatch(logits.scalar_type(), [&]<typename T>() {
    at::parallel_for(0, rows, 1, [&](int64_t begin, int64_t end) {
      for (auto row = begin; row < end; ++row) {
        auto* scores = fused::data<T>(logits) + row * vocab;
        losses[static_cast<size_t>(row)] =
            gradient ? kernels::cross_entropy_row(scores, vocab, label[row])
                     : kernels::cross_entropy_value(scores, vocab, label[row]);
      }
    });
  });
  return std::accumulate(losses.begin(), losses.end(), 0.0);
}

void product_into(at::Tensor& out, const BlockProduct& product) {
  if (serves_block_product(product)) {
    block_product(product, out);
  } else {
    at::mm_out(out, product.x, product.transposed ? product.weight.t() : product.weight);
  }
}

struct FrozenHead : torch::autograd::Function<FrozenHead> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& hidden,
                            const at::Tensor& given, const at::Tensor& rows,
                            const at::Tensor& labels) {
    const bool gradient = hidden.requires_grad();
    const auto dtype = product_dtype(hidden.scalar_type(), rows.size(0));
    const auto weight = given.to(dtype);
    const auto picked = hidden.index_select(0, rows).to(dtype);  // [M, I]
    auto slope = gradient ? at::empty_like(picked) : at::Tensor();
    const auto count = rows.size(0), chunk = chunk_rows(weight, dtype);
    auto buffer = at::empty({std::min(chunk, count), weight.size(0)}, picked.options());
    double loss = 0;
    for (int64_t start = 0; start < count; start += chunk) {
      const auto size = std::min(chunk, count - start);
      auto logits = buffer.narrow(0, 0, size);  // [C, V]
      product_into(logits,
                   {.x = picked.narrow(0, start, size), .weight = weight, .transposed = true});
      loss += chunk_loss(logits, labels.narrow(0, start, size), gradient);
      if (!gradient) continue;
      auto out = slope.narrow(0, start, size);
      product_into(out, {.x = logits, .weight = weight});
    }
    if (gradient) context->save_for_backward({slope.to(hidden.scalar_type()), rows});
    context->saved_data["count"] = hidden.size(0);
    return at::scalar_tensor(loss, hidden.options().dtype(at::kFloat));
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    fused::refuse_second_derivative();
    const auto saved = context->get_saved_variables();
    const auto& slope = saved[0];
    const auto scaled = slope * gradients[0].to(slope.scalar_type());
    auto full = at::zeros({context->saved_data["count"].toInt(), slope.size(1)}, slope.options());
    full.index_copy_(0, saved[1], scaled);
    return {full, at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

at::Tensor recomputed_sum(const at::Tensor& hidden, const at::Tensor& weight,
                          const at::Tensor& rows, const at::Tensor& labels) {
  const auto picked = hidden.index_select(0, rows);
  const auto count = rows.size(0), chunk = chunk_rows(weight, at::kFloat);
  auto loss = picked.sum().to(at::kFloat) * 0;
  for (int64_t start = 0; start < count; start += chunk) {
    const auto size = std::min(chunk, count - start);
    const auto label = labels.narrow(0, start, size);
    loss = loss + checkpoint(
                      [weight, label](const at::Tensor& x) {
                        const auto logits = project(x, weight).to(at::kFloat);
                        return at::cross_entropy_loss(logits, label, {}, at::Reduction::Sum);
                      },
                      picked.narrow(0, start, size));
  }
  return loss;
}

}  // namespace

at::Tensor linear_cross_entropy_sum(const at::Tensor& hidden, const at::Tensor& weight,
                                    const at::Tensor& rows, const at::Tensor& labels) {
  const bool frozen = !is_tagged(weight) && !weight.requires_grad();
  if (!frozen || !fused::supported({&hidden, &weight})) {
    return recomputed_sum(hidden, weight, rows, labels);
  }
  return FrozenHead::apply(hidden, weight, rows, labels);
}

}  // namespace peft
