#include <ATen/ATen.h>
#include <torch/library.h>

#include "peft/adapter/kernels.h"
#include "peft/adapter/tag_state.h"

namespace peft::dispatch {
namespace {

at::Tensor embedding(const at::Tensor& weight, const at::Tensor& indices, int64_t padding_idx,
                     bool scale_grad_by_freq, bool sparse) {
  constexpr auto op = "aten::embedding";
  auto rows = seen_or_same(indices, CallKind::kLookup, op);
  auto road = fast_road(rows, weight, CallKind::kLookup, op);
  if (road && !road.transposed) {
    return road.layer->embedding(road.weight, {.indices = rows,
                                               .padding_idx = padding_idx,
                                               .scale_grad_by_freq = scale_grad_by_freq,
                                               .sparse = sparse});
  }
  return at::embedding(seen_or_same(weight, CallKind::kLookup, op), rows, padding_idx,
                       scale_grad_by_freq, sparse);
}

}  // namespace

void register_lookup_kernels(torch::Library& aten) { aten.impl("embedding", embedding); }

}  // namespace peft::dispatch
