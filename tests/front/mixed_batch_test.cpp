// Batches in which each row names its adapter.

#include <gtest/gtest.h>

#include <optional>

#include "peft/base/error.h"
#include "tests/front/parts.h"

namespace peft {
namespace {

using namespace test;  // NOLINT: what the tests of several adapters share

const std::vector<std::string> kNames = {"a", "__base__", "b", "d", "a", "c"};

at::Tensor rows_one_by_one(PeftModelFor<Parts>& model, const at::Tensor& x,
                           const std::vector<std::string>& names) {
  std::vector<at::Tensor> rows;
  for (size_t i = 0; i < names.size(); ++i) {
    const at::Tensor row = x.narrow(0, static_cast<int64_t>(i), 1);
    if (names[i] == "__base__") {
      const auto off = model.disable_adapter();
      rows.push_back(model->forward(row));
    } else {
      model.set_adapter(names[i]);
      rows.push_back(model->forward(row));
    }
  }
  return at::cat(rows);
}

TEST(MixedBatch, EqualsTheRowsOneByOneAndPython) {
  const StateDict run = arithmetic_run();
  const at::Tensor x = run.at("input");
  auto model = parts_with({"a", "b", "c", "d"});
  const at::Tensor wanted = rows_one_by_one(model, x, kNames);
  expect_near(wanted, run.at("mixed"), "rows one by one");
  for (const bool learns : {true, false}) {
    const at::AutoGradMode mode(learns);
    const auto scope = model.mixed_batch(kNames);
    expect_near(model->forward(x), run.at("mixed"), learns ? "with gradients" : "without");
  }
}

TEST(MixedBatch, ManyRowsAreServedAdapterByAdapter) {
  auto model = parts_with({"a", "b", "c"});
  const at::Tensor x = torch::randint(0, 11, {9, 40});
  const std::vector<std::string> names = {"b", "b", "a", "__base__", "c", "c", "a", "a", "b"};
  const at::Tensor wanted = rows_one_by_one(model, x, names);
  const at::NoGradGuard no_grad;
  const auto scope = model.mixed_batch(names);
  expect_near(model->forward(x), wanted, "mixed");
}

TEST(MixedBatch, EndsWithItsScopeAndLeavesTheActiveAdapter) {
  auto model = parts_with({"a", "b"});
  const at::Tensor x = torch::randint(0, 11, {2, 5});
  const at::Tensor before = model->forward(x);
  {
    const auto outer = model.mixed_batch({"b", "__base__"});
    const at::Tensor mixed = model->forward(x);
    EXPECT_FALSE(at::allclose(mixed, before));
    {
      const auto inner = model.mixed_batch({"a", "a"});
      expect_near(model->forward(x), before, "inner");
    }
    EXPECT_TRUE(at::equal(model->forward(x), mixed));
  }
  EXPECT_EQ(model.active_adapters(), std::vector<std::string>{"a"});
  EXPECT_TRUE(at::equal(model->forward(x), before));
}

TEST(MixedBatch, KeepsSomeOfItsRows) {
  auto model = parts_with({"a", "b"});
  const at::Tensor x = torch::randint(0, 11, {3, 5});
  const at::NoGradGuard no_grad;
  at::Tensor all;
  {
    const auto scope = model.mixed_batch({"a", "__base__", "b"});
    all = model->forward(x);
  }
  auto scope = model.mixed_batch({"a", "__base__", "b"});
  scope.keep_rows({2, 0});
  const auto index = at::tensor({2, 0});
  expect_near(model->forward(x.index_select(0, index)), all.index_select(0, index), "kept");
}

TEST(MixedBatch, GradientsReachTheAdapterOfTheRow) {
  auto model = parts_with({"a", "b"});
  model.set_requires_grad("a");
  model.set_requires_grad("b");
  const at::Tensor x = torch::randint(0, 11, {2, 5});
  const auto scope = model.mixed_batch({"b", "__base__"});
  model->forward(x).square().sum().backward();
  EXPECT_FALSE(model.get_parameter("lin.lora_A.a.weight").grad().defined());
  EXPECT_GT(model.get_parameter("lin.lora_A.b.weight").grad().abs().sum().item<double>(), 0.0);
}

template <typename Expected, typename Call>
void expect_error(Call call, const std::string& part) {
  try {
    call();
    FAIL() << "expected an error with: " << part;
  } catch (const Expected& error) {
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

TEST(MixedBatch, RefusesWhatCannotBe) {
  auto model = parts_with({"a", "b"});
  const at::Tensor x = torch::randint(0, 11, {2, 5});
  expect_error<NotFoundError>([&] { (void)model.mixed_batch({"a", "nobody"}); }, "nobody");
  expect_error<MismatchError>(
      [&] {
        const auto scope = model.mixed_batch({"a", "b", "a"});
        model->forward(x);
      },
      "expected 2 names, got 3");
  model.train();
  expect_error<ConfigError>([&] { (void)model.mixed_batch({"a", "b"}); }, "training mode");
  model.eval();
  model.merge_adapter();
  expect_error<ConfigError>([&] { (void)model.mixed_batch({"a", "b"}); }, "merged adapters");
  model.unmerge_adapter();
  // The weight as a whole is not one thing for all rows.
  expect_error<UnsupportedError>(
      [&] {
        const auto scope = model.mixed_batch({"a", "b"});
        (void)(model.get_base_model()->lin->weight * 2);
      },
      "each row of the batch has its own adapter");
}

struct Attending : torch::nn::Module {
  Attending() { register_module("attention", torch::nn::MultiheadAttention(8, 2)); }
};

TEST(MixedBatch, RefusesLayersThatPythonRefuses) {
  auto of_attention =
      get_peft_model(std::make_shared<Attending>(), LoraConfig{.target_modules = {"attention"}});
  of_attention.eval();
  expect_error<UnsupportedError>([&] { (void)of_attention.mixed_batch({"default"}); },
                                 "does not support mixed adapter batches");
  LoraConfig dora{.r = 2, .target_modules = {"lin"}};
  dora.use_dora = true;
  auto of_dora = get_peft_model(parts(), dora);
  of_dora.eval();
  expect_error<UnsupportedError>([&] { (void)of_dora.mixed_batch({"default"}); },
                                 "DoRA is enabled");
}

}  // namespace
}  // namespace peft
