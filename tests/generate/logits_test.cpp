#include "peft/generate/logits.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "tests/models/golden_file.h"

namespace peft {
namespace {

class Logits : public testing::Test {
 protected:
  // -inf stands in both for what may not be chosen, so the finite parts are compared.
  void expect_equal(const at::Tensor& got, const std::string& name) const {
    const auto& expected = file[name];
    ASSERT_EQ(got.sizes(), expected.sizes()) << name;
    EXPECT_TRUE(at::equal(got.isinf(), expected.isinf())) << name;
    EXPECT_TRUE(at::allclose(got.nan_to_num(), expected.nan_to_num(), 1e-6, 1e-6)) << name;
  }
  std::vector<std::vector<int64_t>> rows(const std::string& name = "ids") const {
    std::vector<std::vector<int64_t>> out;
    for (int64_t i = 0; i < file[name].size(0); ++i) {
      const auto row = file[name][i].contiguous();
      out.emplace_back(row.const_data_ptr<int64_t>(), row.const_data_ptr<int64_t>() + row.numel());
    }
    return out;
  }
  test::GoldenFile file = test::GoldenFile::read("generate", "processors");
  at::Tensor scores = file["scores"];
};

TEST_F(Logits, RepetitionPenaltyEqualsPythons) {
  expect_equal(penalize_repetition(scores, rows(), 1.3), "repetition_1.3");
  expect_equal(penalize_repetition(scores, rows(), 0.7), "repetition_0.7");
}

TEST_F(Logits, ForbiddenTokensEqualPythons) {
  expect_equal(forbid_tokens(scores, {3, 11}), "forbidden_3_11");
  expect_equal(forbid_tokens(scores, {3, 11, 4000, -1}), "forbidden_3_11");
}

TEST_F(Logits, RepeatedNgramsAreForbiddenAsInPython) {
  for (const int64_t size : {1, 2, 3, 8}) {
    expect_equal(forbid_repeated_ngrams(scores, rows("repeats"), size),
                 "ngrams_" + std::to_string(size));
  }
}

TEST_F(Logits, BadWordsAreForbiddenAsInPython) {
  GenerateOptions options{.stop_token_ids = {11}};
  options.bad_words_ids = {{7}, {11}, {3, 9}, {2, 1, 8}, {5, 5, 6}, {1, 1, 1, 1, 1, 1, 1, 1}};
  const auto tokens = rows("repeats");
  expect_equal(process_logits(scores, {.tokens = tokens, .new_tokens = 3, .length = 7}, options),
               "bad_words");
}

TEST_F(Logits, ForcedTokensAreTheOnlyChoice) {
  expect_equal(force_tokens(scores, {3}), "forced_3");
  expect_equal(force_tokens(scores, {3, 11}), "forced_3_11");
}

TEST_F(Logits, BeamsKeepSomethingToGoOnWith) {
  expect_equal(apply_top_p(scores, 0.01, 3), "top_p_0.01_keeps_3");
  expect_equal(apply_min_p(scores, 1.0, 3), "min_p_1.0_keeps_3");
}

TEST_F(Logits, TemperatureEqualsPythons) {
  expect_equal(apply_temperature(scores, 0.7), "temperature_0.7");
}

TEST_F(Logits, TopKEqualsPythonsTiesAndTooLargeKIncluded) {
  for (const int64_t k : {1, 5, 100}) {
    expect_equal(apply_top_k(scores, k), "top_k_" + std::to_string(k));
  }
}

TEST_F(Logits, TopPEqualsPythons) {
  expect_equal(apply_top_p(scores, 0.01), "top_p_0.01");
  expect_equal(apply_top_p(scores, 0.5), "top_p_0.5");
  expect_equal(apply_top_p(scores, 0.9), "top_p_0.9");
  expect_equal(apply_top_p(scores, 0.999), "top_p_0.999");
}

TEST_F(Logits, MinPEqualsPythons) {
  expect_equal(apply_min_p(scores, 0.05), "min_p_0.05");
  expect_equal(apply_min_p(scores, 0.5), "min_p_0.5");
  expect_equal(apply_min_p(scores, 1.0), "min_p_1.0");
}

TEST_F(Logits, TheStepsRunInPythonsOrder) {
  const GenerateOptions options{.min_new_tokens = 2,
                                .do_sample = true,
                                .temperature = 0.7,
                                .top_k = 20,
                                .top_p = 0.9,
                                .min_p = 0.1,
                                .repetition_penalty = 1.3,
                                .stop_token_ids = {3, 11}};
  expect_equal(process_logits(scores, {.tokens = rows(), .new_tokens = 1}, options), "all_steps");
}

TEST_F(Logits, GreedyDecodingLeavesOutTheSamplingSteps) {
  const GenerateOptions options{.temperature = 0.1, .top_k = 1};
  EXPECT_TRUE(at::equal(process_logits(scores, {.tokens = rows()}, options), scores));
}

}  // namespace
}  // namespace peft
