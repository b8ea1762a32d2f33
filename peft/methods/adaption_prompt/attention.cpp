#include "peft/methods/adaption_prompt/attention.h"

#include <ATen/ATen.h>

#include <cmath>

namespace peft {

at::Tensor AdaptedAttention::add(const AttentionState& state) const {
  const at::Tensor& query = state.query;
  auto [key, value] = state.keys_and_values(prompt_);
  const int64_t groups = query.size(1) / key.size(1);
  key = key.repeat_interleave(groups, 1);  // [1, H, P, D]
  value = value.repeat_interleave(groups, 1);
  const at::ScalarType dtype = query.scalar_type();
  const at::Tensor scores = at::matmul(query, key.transpose(2, 3).to(dtype)) /
                            std::sqrt(static_cast<double>(query.size(3)));
  const at::Tensor weights = gate_ * scores.softmax(-1, at::kFloat).to(dtype);
  const at::Tensor heads =
      at::matmul(weights, value).transpose(1, 2).reshape({query.size(0), query.size(2), -1});
  return (projects_ ? state.project(heads) : heads).to(dtype);
}

}  // namespace peft
