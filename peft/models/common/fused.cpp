#include "peft/models/common/fused.h"

#include <ATen/ATen.h>

#include "peft/base/error.h"

namespace peft::fused {

bool supported(std::initializer_list<const at::Tensor*> tensors) {
  const auto dtype = (*tensors.begin())->scalar_type();
  if (dtype != at::kFloat && dtype != at::kBFloat16) return false;
  return std::all_of(tensors.begin(), tensors.end(), [&](const at::Tensor* x) {
    return x->device().is_cpu() && x->scalar_type() == dtype && x->layout() == at::kStrided;
  });
}

void refuse_second_derivative() {
  if (!at::GradMode::is_enabled()) return;
  throw UnsupportedError(
      "language model: second derivatives (create_graph) are not served by its fused operators. "
      "Differentiate once.");
}

}  // namespace peft::fused
