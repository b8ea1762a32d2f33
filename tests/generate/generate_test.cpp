#include "peft/generate/generate.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>

#include "peft/base/error.h"
#include "tests/models/golden_file.h"

namespace peft {
namespace {

using test::golden_model;
using test::GoldenFile;
using Rows = std::vector<std::vector<int64_t>>;

constexpr int64_t kNewTokens = 20;
constexpr int64_t kStop = 2;
constexpr int64_t kPad = 0;

std::vector<int64_t> values(const at::Tensor& row) {
  const auto flat = row.contiguous();
  return {flat.const_data_ptr<int64_t>(), flat.const_data_ptr<int64_t>() + flat.numel()};
}

class Generate : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    model = golden_model(GoldenFile::read("models", GetParam()));
    const auto& mask = at("mask");
    for (int64_t i = 0; i < mask.size(0); ++i) {
      prompts.push_back(values(at("ids")[i].index({mask[i].to(at::kBool)})));
    }
  }
  const at::Tensor& at(const std::string& name) const { return file[GetParam() + "/" + name]; }

  // Python fills rows that have ended with the padding token.
  void expect_rows(const std::vector<Continuation>& got, const std::string& name) const {
    const auto& expected = at(name);
    ASSERT_EQ(static_cast<int64_t>(got.size()), expected.size(0));
    for (size_t i = 0; i < got.size(); ++i) {
      auto row = got[i].tokens;
      row.resize(static_cast<size_t>(expected.size(1)), kPad);
      EXPECT_EQ(row, values(expected[static_cast<int64_t>(i)])) << name << ", row " << i;
    }
  }

  GoldenFile file = GoldenFile::read("generate", "tokens");
  LanguageModel model;
  Rows prompts;
};

TEST_P(Generate, GreedyTokensOfUnequalPromptsEqualPythons) {
  expect_rows(generate(*model, prompts, {.max_new_tokens = kNewTokens, .stop_token_ids = {kStop}}),
              "greedy");
}

TEST_P(Generate, RowsThatMeetAStopTokenEndAndTheOthersGoOn) {
  const auto stop = at("stop").item<int64_t>();
  const auto got =
      generate(*model, prompts, {.max_new_tokens = kNewTokens, .stop_token_ids = {stop}});
  expect_rows(got, "stopped");
  EXPECT_EQ(got[0].reason, FinishReason::kStopToken);
  EXPECT_EQ(got[0].tokens.back(), stop);
}

TEST_P(Generate, MinimumOfNewTokensPutsTheStopTokenOff) {
  const auto stop = at("stop").item<int64_t>();
  const auto got =
      generate(*model, prompts,
               {.max_new_tokens = kNewTokens, .min_new_tokens = 8, .stop_token_ids = {stop}});
  expect_rows(got, "min_new");
}

TEST_P(Generate, RepetitionPenaltyEqualsPythons) {
  const auto got = generate(
      *model, {prompts[0]},
      {.max_new_tokens = kNewTokens, .repetition_penalty = 1.5, .stop_token_ids = {kStop}});
  expect_rows(got, "penalty");
}

TEST_P(Generate, ASeedGivesPythonsSample) {
  const GenerateOptions options{.max_new_tokens = kNewTokens,
                                .do_sample = true,
                                .temperature = 0.8,
                                .top_k = 10,
                                .top_p = 0.9,
                                .stop_token_ids = {kStop},
                                .seed = 20260102};
  expect_rows(generate(*model, {prompts[0]}, options), "sampled");
  EXPECT_EQ(generate(*model, {prompts[0]}, options)[0].tokens,
            generate(*model, {prompts[0]}, options)[0].tokens);
}

TEST_P(Generate, ARowOfABatchEqualsTheRowAlone) {
  const GenerateOptions options{.max_new_tokens = kNewTokens, .stop_token_ids = {kStop}};
  const auto together = generate(*model, prompts, options);
  for (size_t i = 0; i < prompts.size(); ++i) {
    EXPECT_EQ(generate(*model, {prompts[i]}, options)[0].tokens, together[i].tokens);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Generate,
                         testing::Values("llama_plain", "llama_yarn", "mistral_window",
                                         "qwen2_windows", "qwen3_norms"),
                         [](const auto& info) { return info.param; });

// The dynamic rope type depends on the longest row of the batch, so here a row that leaves changes
// the others; Python keeps it and pays for it.
class GenerateDynamicRope : public Generate {};

TEST_P(GenerateDynamicRope, GreedyTokensBeyondTheTrainedContextEqualPythons) {
  expect_rows(generate(*model, prompts, {.max_new_tokens = kNewTokens, .stop_token_ids = {kStop}}),
              "greedy");
}

INSTANTIATE_TEST_SUITE_P(Models, GenerateDynamicRope, testing::Values("llama_dynamic"),
                         [](const auto& info) { return info.param; });

class GenerateOne : public testing::Test {
 protected:
  LanguageModel model = golden_model(GoldenFile::read("models", "llama_plain"));
  Rows prompts = {{5, 6, 7}, {8}};
};

TEST_F(GenerateOne, StreamsEachTokenAsItComesAndStopsWhenTold) {
  Rows streamed(2);
  const auto got =
      generate(*model, prompts, {.max_new_tokens = 6, .on_token = [&](int64_t row, int64_t token) {
                                   streamed[static_cast<size_t>(row)].push_back(token);
                                   return row != 1 || streamed[1].size() < 3;
                                 }});
  EXPECT_EQ(streamed[0], got[0].tokens);
  EXPECT_EQ(streamed[1], got[1].tokens);
  EXPECT_EQ(got[0].tokens.size(), 6U);
  EXPECT_EQ(got[0].reason, FinishReason::kLength);
  EXPECT_EQ(got[1].tokens.size(), 3U);
  EXPECT_EQ(got[1].reason, FinishReason::kCallback);
}

TEST_F(GenerateOne, StopsAtAStringThatSpansTokens) {
  const auto free = generate(*model, {prompts[0]}, {.max_new_tokens = 10})[0].tokens;
  const auto decode = [](const std::vector<int64_t>& ids) {
    std::string text;
    for (const auto id : ids) text += "<" + std::to_string(id) + ">";
    return text;
  };
  const auto stop = std::to_string(free[3]) + "><" + std::to_string(free[4]);
  const auto got = generate(*model, {prompts[0]},
                            {.max_new_tokens = 10, .stop_strings = {stop}, .decode = decode});
  ASSERT_LE(got[0].tokens.size(), 5U);
  EXPECT_EQ(got[0].reason, FinishReason::kStopString);
  EXPECT_NE(decode(got[0].tokens).find(stop), std::string::npos);
}

TEST_F(GenerateOne, NothingIsWrittenForNoPromptOrNoTokens) {
  EXPECT_TRUE(generate(*model, {}).empty());
  const auto got = generate(*model, prompts, {.max_new_tokens = 0});
  EXPECT_TRUE(got[0].tokens.empty());
}

TEST_F(GenerateOne, LeavesTheModelUsableForTraining) {
  generate(*model, prompts, {.max_new_tokens = 3});
  const auto ids = at::randint(3, 60, {1, 5}, at::kLong);
  const auto embeds = model->embed(ids).detach().requires_grad_(true);
  model->loss_sum({.inputs_embeds = embeds}, ids).backward();
  EXPECT_GT(embeds.grad().abs().sum().item<double>(), 0);
}

TEST_F(GenerateOne, RefusesWrongOptionsAndPrompts) {
  EXPECT_THROW(generate(*model, prompts, {.temperature = 0}), ConfigError);
  EXPECT_THROW(generate(*model, prompts, {.top_p = 1.5}), ConfigError);
  EXPECT_THROW(generate(*model, prompts, {.min_p = -0.1}), ConfigError);
  EXPECT_THROW(generate(*model, prompts, {.repetition_penalty = 0}), ConfigError);
  EXPECT_THROW(generate(*model, prompts, {.max_new_tokens = -1}), ConfigError);
  EXPECT_THROW(generate(*model, prompts, {.stop_strings = {"x"}}), ConfigError);
  EXPECT_THROW(generate(*model, {{}}), ConfigError);
  EXPECT_THROW(generate(*model, {{67}}), ConfigError);
}

}  // namespace
}  // namespace peft
