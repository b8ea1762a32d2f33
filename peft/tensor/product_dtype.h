#pragma once

#include <ATen/core/Tensor.h>

namespace peft {

/// The dtype in which a product of two matrices of `dtype` is fastest on this processor. Without
/// instructions for bfloat16 or float16 libtorch multiplies them number by number, many times
/// slower than it multiplies float32, so there the operands are worth a conversion: also the frozen
/// weight's, once a call, unless `rows` (the product's rows) are few and reading the weight is all
/// the work.
at::ScalarType product_dtype(at::ScalarType dtype, int64_t rows);

/// True where the processor has instructions for products of bfloat16 numbers.
bool multiplies_bfloat16_fast();

}  // namespace peft
