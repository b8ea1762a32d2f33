#include "peft/methods/lora/variants/qalora.h"

#include <ATen/ATen.h>

#include "peft/base/error.h"
#include "peft/methods/lora/products.h"

namespace peft::lora {

at::Tensor qalora_update(const LoraAdapter& adapter, const at::Tensor& x, int64_t group_size) {
  const int64_t width = x.size(-1);
  if (group_size <= 0 || width % group_size != 0) {
    throw ConfigError("qalora_group_size: expected a divisor of in_features = " +
                      std::to_string(width) + ", got " + std::to_string(group_size) + ".");
  }
  auto shape = x.sizes().vec();
  shape.back() = width / group_size;
  shape.push_back(group_size);
  const at::Tensor pooled = x.reshape(shape).mean(-1) * (width / group_size);
  return low_rank_product(adapter, pooled) * adapter.scaling;
}

}  // namespace peft::lora
