#include "peft/tensor/block_product.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "peft/tensor/product_dtype.h"

namespace peft {
namespace {

struct Case {
  int64_t rows, inner, columns, rank;
  bool transposed, bias;
};

// Below one panel and one tile, exactly one, and beyond; deeper than a packed panel.
const Case kCases[] = {{1, 70, 33, 4, true, true},      {7, 64, 100, 0, true, false},
                       {16, 8, 6, 0, true, false},      {16, 8, 6, 2, false, false},
                       {64, 64, 48, 16, true, true},    {65, 66, 50, 4, true, true},
                       {65, 66, 50, 4, false, true},    {203, 1500, 98, 8, true, false},
                       {203, 2050, 98, 8, false, true}, {700, 64, 700, 16, true, true},
                       {700, 64, 700, 16, false, false}};

at::Tensor numbers(at::IntArrayRef shape, at::ScalarType dtype) {
  return at::randn(shape).to(dtype);
}

BlockProduct make(const Case& c, at::ScalarType dtype) {
  BlockProduct p{.x = numbers({c.rows, c.inner}, dtype), .transposed = c.transposed};
  p.weight =
      c.transposed ? numbers({c.columns, c.inner}, dtype) : numbers({c.inner, c.columns}, dtype);
  if (c.rank > 0) {
    p.low = numbers({c.rows, c.rank}, dtype);
    p.factor =
        c.transposed ? numbers({c.columns, c.rank}, dtype) : numbers({c.rank, c.columns}, dtype);
  }
  if (c.bias) p.bias = numbers({c.columns}, dtype);
  return p;
}

at::Tensor in_double(const BlockProduct& p) {
  const auto turned = [&](const at::Tensor& x) {
    return p.transposed ? x.to(at::kDouble).t() : x.to(at::kDouble);
  };
  auto y = p.x.to(at::kDouble).mm(turned(p.weight));
  if (p.low.defined()) y = y + p.low.to(at::kDouble).mm(turned(p.factor));
  y = y * p.scale;
  return p.bias.defined() ? y + p.bias.to(at::kDouble) : y;
}

double error(const at::Tensor& got, const at::Tensor& expected) {
  return ((got.to(at::kDouble) - expected).abs().max() / expected.abs().max()).item<double>();
}

void expect_equal(at::ScalarType dtype, double tolerance) {
  torch::manual_seed(1);
  for (const auto& c : kCases) {
    const auto p = make(c, dtype);
    ASSERT_TRUE(serves_block_product(p));
    EXPECT_LT(error(frozen_product(p), in_double(p)), tolerance)
        << c.rows << " x " << c.inner << " x " << c.columns << ", rank " << c.rank;
  }
}

TEST(BlockProduct, EqualsTheProductInDoublePrecision) { expect_equal(at::kFloat, 2e-6); }

TEST(BlockProduct, RoundsBfloat16OnlyOnce) {
  if (multiplies_bfloat16_fast()) {
    expect_equal(at::kBFloat16, 1.0 / 256);
  } else {
    EXPECT_FALSE(serves_block_product(make({40, 8, 6, 0, true, false}, at::kBFloat16)));
  }
}

// The gradients of factors: as many rows as the rank, and as deep as there are tokens.
TEST(BlockProduct, KeepsTheFloat32SumsOfBfloat16) {
  torch::manual_seed(7);
  const bool fast = multiplies_bfloat16_fast();
  for (const auto& [rows, inner] :
       {std::pair<int64_t, int64_t>{4, 45}, {8, 46}, {16, 1025}, {70, 1051}}) {
    auto p = make({rows, inner, 100, 0, false, true}, at::kBFloat16);
    EXPECT_EQ(serves_block_product(p), fast) << rows << " x " << inner;
    EXPECT_EQ(frozen_product(p).scalar_type(), at::kBFloat16);
    EXPECT_LT(error(frozen_product(p), in_double(p)), 1.0 / 128);
    p.keep_float = true;
    EXPECT_EQ(frozen_product(p).scalar_type(), at::kFloat);
    EXPECT_LT(error(frozen_product(p), in_double(p)), fast ? 2e-6 : 1.0 / 64);
  }
  auto few = make({2, 64, 100, 0, true, false}, at::kBFloat16);
  few.keep_float = true;
  EXPECT_EQ(frozen_product(few).scalar_type(), at::kFloat);
}

struct Rows {
  int64_t first, last, rank;
};

// Bounds inside a tile, on its edge and across several; rows without an update between them.
void expect_own_factors(const std::vector<Rows>& rows, bool transposed, at::ScalarType dtype,
                        double tolerance) {
  const int64_t count = 203, inner = 1030, columns = 98, highest = 8;
  BlockProduct p = make({count, inner, columns, 0, transposed, true}, dtype);
  p.low = numbers({count, highest}, dtype);
  at::Tensor wanted = in_double({.x = p.x, .weight = p.weight, .transposed = transposed});
  for (const Rows& own : rows) {
    const at::Tensor factor =
        transposed ? numbers({columns, own.rank}, dtype) : numbers({own.rank, columns}, dtype);
    p.row_factors.push_back({own.first, own.last, factor});
    const at::Tensor low = p.low.slice(0, own.first, own.last).narrow(1, 0, own.rank);
    wanted.slice(0, own.first, own.last)
        .add_(low.to(at::kDouble).mm((transposed ? factor.t() : factor).to(at::kDouble)));
  }
  wanted = wanted + p.bias.to(at::kDouble);
  ASSERT_TRUE(serves_block_product(p));
  EXPECT_LT(error(frozen_product(p), wanted), tolerance);
  EXPECT_LT(error(libtorch_product(p), wanted), std::max(tolerance, 2e-6));
}

TEST(BlockProduct, RowsHaveFactorsOfTheirOwn) {
  torch::manual_seed(4);
  for (const bool transposed : {true, false}) {
    expect_own_factors({{0, 203, 8}}, transposed, at::kFloat, 2e-6);
    expect_own_factors({{0, 64, 8}, {64, 128, 4}}, transposed, at::kFloat, 2e-6);
    expect_own_factors({{3, 5, 2}, {5, 63, 8}, {70, 201, 6}, {202, 203, 4}}, transposed, at::kFloat,
                       2e-6);
    if (!multiplies_bfloat16_fast()) continue;
    expect_own_factors({{3, 5, 2}, {5, 63, 8}, {70, 201, 6}}, transposed, at::kBFloat16, 1.0 / 64);
  }
}

// Zeros that fill a block up, times infinity, would spoil the rows of a neighbour.
TEST(BlockProduct, ABrokenFactorStaysInItsRows) {
  torch::manual_seed(5);
  BlockProduct p = make({128, 32, 50, 0, true, false}, at::kFloat);
  p.low = at::randn({128, 4});
  const at::Tensor broken = at::full({50, 4}, INFINITY);
  p.row_factors = {{0, 13, at::randn({50, 4})}, {13, 61, broken}, {61, 128, at::randn({50, 4})}};
  const at::Tensor finite = frozen_product(p).isfinite();
  EXPECT_TRUE(finite.slice(0, 0, 13).all().item<bool>());
  EXPECT_FALSE(finite.slice(0, 13, 61).any().item<bool>());
  EXPECT_TRUE(finite.slice(0, 61, 128).all().item<bool>());
}

TEST(BlockProduct, RowsAreMultipliedWithWeightsOfTheirOwn) {
  torch::manual_seed(6);
  for (const auto dtype : {at::kFloat, at::kDouble}) {
    const at::Tensor x = numbers({700, 66}, dtype);
    const std::vector<RowProduct> products = {{2, 603, numbers({8, 66}, dtype), 0.5},
                                              {603, 650, numbers({4, 66}, dtype)}};
    const at::Tensor out = at::full({700, 8}, 7.0, x.options());
    row_products(x, products, out);
    for (const RowProduct& own : products) {
      const BlockProduct alike{.x = x.slice(0, own.first, own.last),
                               .weight = own.weight,
                               .transposed = true,
                               .scale = own.scale};
      EXPECT_LT(error(out.slice(0, own.first, own.last).narrow(1, 0, own.weight.size(0)),
                      in_double(alike)),
                2e-6);
    }
    EXPECT_TRUE(out.slice(0, 0, 2).eq(7).all().item<bool>());
    EXPECT_TRUE(out.slice(0, 650, 700).eq(7).all().item<bool>());
    EXPECT_TRUE(out.slice(0, 603, 650).narrow(1, 4, 4).eq(7).all().item<bool>());
  }
}

// Both set up the processor's tile registers where it has them.
TEST(BlockProduct, ProductsOfLibtorchMayComeBetween) {
  torch::manual_seed(1);
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const auto p = make({64, 64, 96, 0, true, false}, dtype);
    const auto first = frozen_product(p);
    for (const int64_t rows : {45, 512}) {
      const auto x = numbers({rows, 256}, dtype);
      at::mm(x, x.t());
      EXPECT_TRUE(frozen_product(p).equal(first)) << dtype << ", " << rows << " rows";
    }
  }
}

TEST(BlockProduct, ReadsMatricesWhoseRowsLieApart) {
  torch::manual_seed(2);
  const auto x = at::randn({40, 64}).narrow(1, 8, 20), w = at::randn({30, 64}).narrow(1, 2, 20);
  const BlockProduct p{.x = x, .weight = w, .transposed = true, .scale = 0.5};
  EXPECT_LT(error(frozen_product(p), in_double(p)), 2e-6);
  auto out = at::full({40, 50}, 7.0);
  block_product(p, out.narrow(1, 10, 30));
  EXPECT_LT(error(out.narrow(1, 10, 30), in_double(p)), 2e-6);
  EXPECT_TRUE(out.narrow(1, 0, 10).eq(7).all().item<bool>());
  EXPECT_TRUE(out.narrow(1, 40, 10).eq(7).all().item<bool>());
}

TEST(BlockProduct, WhatIsNotServedGoesToLibtorch) {
  torch::manual_seed(3);
  const auto w = at::randn({6, 8});
  const BlockProduct few{.x = at::randn({2, 8}), .weight = w.t().contiguous()};
  const BlockProduct turned{.x = at::randn({8, 40}).t(), .weight = w, .transposed = true};
  const BlockProduct wide{.x = at::randn({40, 8}).to(at::kDouble),
                          .weight = w.to(at::kDouble),
                          .transposed = true,
                          .low = at::randn({40, 2}).to(at::kDouble),
                          .factor = at::randn({6, 2}).to(at::kDouble),
                          .bias = at::randn({6}).to(at::kDouble)};
  for (const auto* p : {&few, &turned, &wide}) {
    EXPECT_FALSE(serves_block_product(*p));
    EXPECT_LT(error(frozen_product(*p), in_double(*p)), 2e-6);
  }
}

}  // namespace
}  // namespace peft
