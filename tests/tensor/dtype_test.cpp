#include "peft/tensor/dtype.h"

#include <gtest/gtest.h>

#include "peft/base/error.h"

namespace peft {
namespace {

TEST(Dtype, NamesOfPythonAndOfFilesMeanTheSame) {
  EXPECT_EQ(find_dtype("torch.bfloat16"), at::kBFloat16);
  EXPECT_EQ(find_dtype("half"), at::kHalf);
  EXPECT_EQ(dtype_from_safetensors("F8_E4M3"), at::kFloat8_e4m3fn);
  EXPECT_EQ(safetensors_word(at::kLong), "I64");
  EXPECT_EQ(dtype_name(at::kFloat), "float32");
}

TEST(Dtype, UnknownNamesAreErrorsOrNothing) {
  EXPECT_EQ(find_dtype("float33"), std::nullopt);
  EXPECT_EQ(dtype_from_safetensors(""), std::nullopt);
  EXPECT_THROW(parse_dtype("float33", "dtype"), ConfigError);
  EXPECT_THROW(safetensors_word(at::kComplexDouble), UnsupportedError);
}

}  // namespace
}  // namespace peft
