// The ways in which LoRA begins with a part of the weight, against the numbers of Python PEFT and
// bitsandbytes.

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "peft/base/error.h"
#include "peft/formats/safetensors_file.h"
#include "peft/methods/lora/init/corda.h"
#include "peft/methods/lora/init/factors.h"
#include "peft/methods/lora/init/incremental_pca.h"
#include "peft/methods/lora/init/low_rank.h"
#include "peft/methods/lora/init/quantise.h"
#include "tests/support/init_tolerances.h"

namespace peft::lora {
namespace {

using at::Tensor;

constexpr int64_t kRank = 2;
constexpr double kScaling = 2.5;

const StateDict& numbers() {
  static const formats::SafetensorsFile file(std::string(PEFT_SOURCE_DIR) +
                                             "/tests/methods/lora/golden/init_factors.safetensors");
  static const StateDict tensors = file.load_all();
  return tensors;
}

void expect_near(const Tensor& ours, const Tensor& python, const std::string& what) {
  ASSERT_EQ(ours.sizes(), python.sizes()) << what;
  const double scale = std::max(1.0, python.abs().max().item<double>());
  EXPECT_LT((ours.to(at::kDouble) - python.to(at::kDouble)).abs().max().item<double>(),
            test::kFactorTolerance * scale)
      << what;
}

void expect_case(const Factors& ours, const std::string& name) {
  expect_near(ours.a, numbers().at(name + ".a"), name + " A");
  expect_near(ours.b, numbers().at(name + ".b"), name + " B");
  const Tensor weight = ours.weight.defined() ? ours.weight : numbers().at("weight");
  expect_near(weight, numbers().at(name + ".weight"), name + " weight");
}

// The state that Python's generator had in the cases.
void seed() { at::manual_seed(5); }

TEST(InitFactors, PissaTakesTheLargestSingularValues) {
  const Tensor weight = numbers().at("weight");
  expect_case(pissa_factors(weight, kRank, kScaling, std::nullopt), "pissa");
  seed();
  expect_case(pissa_factors(weight, kRank, kScaling, 3), "pissa_niter_3");
}

TEST(InitFactors, ARankAboveTheSmallerSideIsThatSide) {
  const Factors factors = pissa_factors(numbers().at("weight"), 9, kScaling, std::nullopt);
  EXPECT_EQ(factors.a.size(0), 6);
  EXPECT_LT(factors.weight.abs().max().item<double>(), 1e-5) << "nothing is left of the weight";
}

TEST(InitFactors, OloraTakesQAndR) {
  expect_case(olora_factors(numbers().at("weight"), kRank, kScaling), "olora");
}

TEST(InitFactors, MicaTakesTheSmallestDirections) {
  expect_case(mica_factors(numbers().at("weight"), kRank), "mica");
  EXPECT_THROW(mica_factors(numbers().at("weight"), 7), ConfigError);
}

TEST(InitFactors, OrthogonalDrawsFactorsWhoseProductIsZero) {
  seed();
  const Tensor square = at::randn({kRank, kRank}), in = at::randn({10, kRank / 2});
  const Factors factors = orthogonal_factors(square, in, at::randn({kRank / 2, 6}));
  expect_case(factors, "orthogonal");
  EXPECT_LT(at::mm(factors.b, factors.a).abs().max().item<double>(), 1e-6);
}

TEST(InitFactors, CordaTakesComponentsOfWeightTimesCovariance) {
  const Tensor weight = numbers().at("weight"), covariance = numbers().at("covariance");
  for (const std::string method : {"ipm", "kpm"}) {
    const CordaEigens eigens = corda_eigens(weight, covariance, kRank, method);
    expect_case(corda_factors(weight, kRank, kScaling, eigens), "corda_" + method);
  }
  const CordaEigens eigens = corda_eigens(weight, covariance, kRank, "ipm");
  EXPECT_THROW(corda_factors(weight, 3, kScaling, eigens), ConfigError) << "of another rank";
  CordaEigens broken = eigens;
  broken.s = broken.s.clone().fill_(NAN);
  EXPECT_THROW(corda_factors(weight, kRank, kScaling, broken), ConfigError);
  EXPECT_THROW(corda_eigens(weight, covariance, 7, "ipm"), ConfigError);
  EXPECT_THROW(corda_eigens(weight, at::zeros({10, 10}), kRank, "ipm"), ConfigError);
}

TEST(InitFactors, LoraGaTakesComponentsOfTheGradient) {
  const Tensor weight = numbers().at("weight");
  const auto run = [&](const LoraGAConfig& settings) {
    seed();
    return lora_ga_factors(weight, kRank,
                           {.gradient = numbers().at("gradient"),
                            .scaling = kScaling,
                            .stored_rows = 6,
                            .settings = settings});
  };
  for (const std::string direction : {"ArBr", "A2rBr", "ArB2r", "random"}) {
    expect_case(run({.direction = direction, .scale = "unit"}), "lora_ga_" + direction);
  }
  for (const std::string scale : {"stable", "weight_svd", "gd_scale"}) {
    expect_case(run({.scale = scale}), "lora_ga_" + scale);
  }
  EXPECT_THROW(lora_ga_factors(weight, 4, {.gradient = numbers().at("gradient")}), ConfigError);
}

TEST(InitFactors, LoftQAlternatesQuantisingAndDecomposing) {
  for (const int64_t bits : {4, 8}) {
    for (const int64_t iterations : {1, 3}) {
      const LoftQConfig settings{.loftq_bits = bits, .loftq_iter = iterations};
      expect_case(loftq_factors(numbers().at("weight"), kRank, settings),
                  "loftq_" + std::to_string(bits) + "_" + std::to_string(iterations));
    }
  }
}

TEST(Quantise, Nf4IsThatOfBitsandbytes) {
  const Nf4Weight ours = quantise_nf4(numbers().at("odd"));
  EXPECT_TRUE(at::equal(ours.codes, numbers().at("nf4.codes")));
  expect_near(ours.absmax, numbers().at("nf4.scales"), "scales");
  expect_near(dequantise(ours), numbers().at("nf4.values"), "values");
}

TEST(Quantise, Int8IsThatOfBitsandbytes) {
  const Int8Weight ours = quantise_int8(numbers().at("odd"));
  // A row of zeros is made of zeros here; there the codes are what NaN becomes.
  for (const int64_t row : {0, 2}) {
    EXPECT_TRUE(at::equal(ours.codes[row], numbers().at("int8.codes")[row])) << row;
  }
  expect_near(ours.row_stats, numbers().at("int8.scales"), "scales");
  expect_near(dequantise(ours), numbers().at("int8.values"), "values");
}

TEST(IncrementalPCA, ComponentsAreThoseOfPython) {
  for (const bool lowrank : {false, true}) {
    const std::string name = lowrank ? "pca_lowrank." : "pca_full.";
    IncrementalPCAOptions options{.n_components = 3, .lowrank = lowrank};
    if (lowrank) options.lowrank_seed = 42;
    IncrementalPCA pca(options);
    for (const Tensor& batch : numbers().at("inputs").split(20)) pca.partial_fit(batch);
    expect_near(pca.components(), numbers().at(name + "components"), name + "components");
    expect_near(pca.singular_values(), numbers().at(name + "values"), name + "values");
    expect_near(pca.mean(), numbers().at(name + "mean"), name + "mean");
    expect_near(pca.variance(), numbers().at(name + "variance"), name + "variance");
    expect_near(pca.explained_variance_ratio(), numbers().at(name + "ratio"), name + "ratio");
    expect_near(pca.transform(numbers().at("inputs")), numbers().at(name + "transformed"), name);
  }
}

TEST(IncrementalPCA, ABatchThatDoesNotFitIsRefused) {
  IncrementalPCA pca({.n_components = 3});
  EXPECT_THROW(pca.partial_fit(at::randn({2, 5})), ConfigError) << "too few samples";
  EXPECT_THROW(pca.partial_fit(at::randn({5, 2})), ConfigError) << "too few features";
  pca.partial_fit(at::randn({5, 5}));
  EXPECT_THROW(pca.partial_fit(at::randn({5, 6})), ConfigError) << "other features";
  EXPECT_THROW(IncrementalPCA({.n_components = 3, .lowrank = true, .lowrank_q = 2}), ConfigError);
}

}  // namespace
}  // namespace peft::lora
