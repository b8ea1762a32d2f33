// One adapter of several: add_weighted_adapter.

#include <gtest/gtest.h>

#include "peft/base/error.h"
#include "peft/base/warnings.h"
#include "peft/tensor/task_arithmetic.h"
#include "tests/front/parts.h"

namespace peft {
namespace {

using namespace test;  // NOLINT: what the tests of several adapters share

CombineOptions options_of(const std::string& type) {
  CombineOptions options{.combination_type = type};
  if (type.starts_with("ties")) options.density = 0.6;
  if (type == "ties_svd") options.majority_sign_method = "frequency";
  if (type.starts_with("magnitude_prune")) options.density = 0.4;
  if (type == "magnitude_prune_svd") options.svd_rank = 5;
  if (type.starts_with("dare")) options.density = 1.0;
  if (type == "dare_linear_svd") options.svd_clamp = 0.9;
  return options;
}

class CombinationType : public testing::TestWithParam<const char*> {};

TEST_P(CombinationType, ComputesWhatPythonDoes) {
  const std::string type = GetParam();
  const StateDict run = arithmetic_run();
  auto model = parts_with({"a", "b", "c"});
  const bool any_rank = type == "svd" || type == "cat";
  model.add_weighted_adapter({"a", any_rank ? "c" : "b"}, {0.7, -0.4}, "combined",
                             options_of(type));
  EXPECT_EQ(model.active_adapters(), std::vector<std::string>{"a"});
  model.set_adapter("combined");
  expect_near(model->forward(run.at("input")), run.at("combine." + type), type);
}

INSTANTIATE_TEST_SUITE_P(All, CombinationType,
                         testing::Values("linear", "svd", "cat", "ties", "ties_svd",
                                         "magnitude_prune", "magnitude_prune_svd", "dare_linear",
                                         "dare_ties", "dare_linear_svd", "dare_ties_svd"),
                         [](const auto& info) { return std::string(info.param); });

TEST(TaskArithmetic, IsPythonsWithTheSameRandomNumbers) {
  const StateDict run = arithmetic_run();
  const std::vector<at::Tensor> tensors = {run.at("task.0"), run.at("task.1"), run.at("task.2")};
  const at::Tensor weights = run.at("task.weights");
  const auto check = [&](const std::string& name, const auto& compute) {
    torch::manual_seed(2);
    expect_near(compute(), run.at("task." + name), name);
  };
  check("task_arithmetic", [&] { return task_arithmetic(tensors, weights); });
  check("magnitude_prune", [&] { return magnitude_prune(tensors, weights, 0.35); });
  check("ties", [&] { return ties(tensors, weights, 0.5); });
  check("ties.frequency", [&] { return ties(tensors, weights, 0.5, "frequency"); });
  check("dare_linear", [&] { return dare_linear(tensors, weights, 0.6); });
  check("dare_ties", [&] { return dare_ties(tensors, weights, 0.6); });
  check("dare_ties.frequency", [&] { return dare_ties(tensors, weights, 0.6, "frequency"); });
}

TEST(Combine, OppositeWeightsSubtractAnAdapterFromItself) {
  auto model = parts_with({"a", "b"});
  const at::Tensor x = arithmetic_run().at("input");
  at::Tensor plain;
  {
    const auto off = model.disable_adapter();
    plain = model->forward(x);
  }
  model.add_weighted_adapter({"a", "a"}, {1.0, -1.0}, "nothing", {.combination_type = "cat"});
  model.set_adapter("nothing");
  expect_near(model->forward(x), plain, "a - a");
}

TEST(Combine, RefusesWhatDoesNotGoTogether) {
  auto model = parts_with({"a", "b", "c", "d"});
  const auto combine = [&](const std::vector<std::string>& adapters,
                           const CombineOptions& options) {
    model.add_weighted_adapter(adapters, std::vector<double>(adapters.size(), 1.0), "new", options);
  };
  EXPECT_THROW(combine({"a", "nobody"}, {}), NotFoundError);
  EXPECT_THROW(combine({}, {}), ConfigError);
  EXPECT_THROW(combine({"a", "b"}, {.combination_type = "mean"}), ConfigError);
  EXPECT_THROW(combine({"a", "c"}, {.combination_type = "linear"}), ConfigError);
  EXPECT_THROW(combine({"a", "b"}, {.combination_type = "ties"}), ConfigError);
  EXPECT_THROW(combine({"a", "b"}, {.combination_type = "ties", .density = -0.5}), ConfigError);
  EXPECT_THROW(combine({"a", "d"}, {.combination_type = "svd"}), UnsupportedError);
  EXPECT_THROW(model.add_weighted_adapter({"a", "b"}, {1.0}, "new"), ConfigError);
  EXPECT_THROW(model.add_weighted_adapter({"a", "b"}, {1.0, 1.0}, "c"), ConfigError);
  EXPECT_EQ(model.peft_config().size(), 4u);
}

}  // namespace
}  // namespace peft
