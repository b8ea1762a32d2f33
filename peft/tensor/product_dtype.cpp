#include "peft/tensor/product_dtype.h"

namespace peft {
namespace {

// Below this a conversion of the weight costs more than slow products with it.
constexpr int64_t kFewRows = 4;

}  // namespace

bool multiplies_bfloat16_fast() {
#if defined(__x86_64__)
  static const bool fast = __builtin_cpu_supports("avx512bf16") != 0;
  return fast;
#else
  return false;
#endif
}

at::ScalarType product_dtype(at::ScalarType dtype, int64_t rows) {
  const bool reduced =
      dtype == at::kHalf || (dtype == at::kBFloat16 && !multiplies_bfloat16_fast());
  return reduced && rows >= kFewRows ? at::kFloat : dtype;
}

}  // namespace peft
