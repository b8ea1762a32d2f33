#include "peft/tensor/product_dtype.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

namespace peft {
namespace {

TEST(ProductDtype, FullPrecisionIsNeverChanged) {
  for (const auto dtype : {at::kFloat, at::kDouble, at::kLong}) {
    EXPECT_EQ(product_dtype(dtype, 1), dtype);
    EXPECT_EQ(product_dtype(dtype, 1000), dtype);
  }
}

TEST(ProductDtype, FewRowsKeepTheirDtype) {
  EXPECT_EQ(product_dtype(at::kBFloat16, 1), at::kBFloat16);
  EXPECT_EQ(product_dtype(at::kHalf, 1), at::kHalf);
}

TEST(ProductDtype, ManyBfloat16RowsAreWidenedExactlyWhereTheProcessorIsSlowAtThem) {
  const auto dtype = product_dtype(at::kBFloat16, 64);
  EXPECT_EQ(dtype, multiplies_bfloat16_fast() ? at::kBFloat16 : at::kFloat);
}

}  // namespace
}  // namespace peft
