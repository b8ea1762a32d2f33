#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace peft {

/// The factor of rows that follow each other.
struct RowFactor {
  int64_t first = 0, last = 0;  // rows [first, last)
  at::Tensor factor;            // as BlockProduct::factor
};

/// A product with a frozen weight and, in the same pass over the result, an update of low rank:
/// out = scale · (x W + low F) + bias. Legend: N rows, K and M width of input and output, R rank.
struct BlockProduct {
  at::Tensor x;             // [N, K]
  at::Tensor weight;        // [K, M], or [M, K] where `transposed`
  bool transposed = false;  // x times the transposes of `weight` and `factor`
  at::Tensor low = {};      // [N, R]; undefined: no update
  at::Tensor factor = {};   // [R, M], or [M, R] where `transposed`
  at::Tensor bias = {};     // [M]; undefined: none
  double scale = 1.0;
  bool keep_float = false;  // the result is float32, as it was summed, whatever x is
  /// In the place of `factor`: factors by rows, rising. Each reads the first columns of `low`, as
  /// many as its rank; rows without one get no update.
  std::vector<RowFactor> row_factors = {};
};

/// True where block_product serves these tensors: plain matrices on the CPU, all of float32 or,
/// where the processor multiplies it, bfloat16, with enough rows that packing the weight is worth
/// it.
bool serves_block_product(const BlockProduct& product);

/// The dtype of a product's result.
at::ScalarType result_dtype(const BlockProduct& product);

/// Sums in float32 whatever the dtype is and rounds once. No gradient is recorded.
///   out [N, M] in the dtype that result_dtype says, dense
void block_product(const BlockProduct& product, const at::Tensor& out);

/// The same by libtorch's own products: without an update, bit for bit what at::linear gives.
at::Tensor libtorch_product(const BlockProduct& product);

/// The same into a new tensor, by libtorch's own products where block_product does not serve. Call
/// it without gradients.
at::Tensor frozen_product(const BlockProduct& product);

/// Rows that follow each other, with a weight of their own.
struct RowProduct {
  int64_t first = 0, last = 0;  // rows [first, last)
  at::Tensor weight;            // [R, K]
  double scale = 1.0;
};

/// The products scale · x Wᵀ of these rows. Call it without gradients.
///   x [N, K], out [N, at least R] in the dtype of x: the first R columns of the rows are written
void row_products(const at::Tensor& x, const std::vector<RowProduct>& products,
                  const at::Tensor& out);

}  // namespace peft
