#include "peft/models/llama/model.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "peft/base/error.h"
#include "peft/tensor/product_dtype.h"
#include "tests/models/golden_file.h"

namespace peft {
namespace {

using test::golden_model;
using test::GoldenFile;
using test::relative_error;

constexpr double kFloatTolerance = 1e-5;
constexpr double kLlamaGradientTolerance = 1e-4;
constexpr double kBfloat16Tolerance = 2e-2;

class LlamaGolden : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    file = GoldenFile::read("models", GetParam());
    model = golden_model(file);
  }
  at::Tensor logits(const LanguageModelInput& input) {
    at::NoGradGuard no_grad;
    return model->forward(input);
  }
  GoldenFile file;
  LanguageModel model;
};

TEST_P(LlamaGolden, LogitsEqualPythons) {
  EXPECT_LT(relative_error(logits({.input_ids = file["ids"]}), file["logits"]), kFloatTolerance);
}

TEST_P(LlamaGolden, TheNewSpellingOfTheConfigGivesTheSameModel) {
  model = golden_model(file, file.new_config, at::kFloat);
  EXPECT_LT(relative_error(logits({.input_ids = file["ids"]}), file["logits"]), kFloatTolerance);
  EXPECT_LT(relative_error(logits({.input_ids = file["long_ids"]}), file["long_logits"]),
            kFloatTolerance);
}

TEST_P(LlamaGolden, LogitsWithPaddingOnTheLeftEqualPythons) {
  const auto got = logits({.input_ids = file["ids"], .attention_mask = file["left_mask"]});
  EXPECT_LT(relative_error(got, file["left_logits"]), kFloatTolerance);
}

TEST_P(LlamaGolden, LogitsWithPaddingOnTheRightEqualPythons) {
  const auto got = logits({.input_ids = file["ids"], .attention_mask = file["right_mask"]});
  EXPECT_LT(relative_error(got, file["right_logits"]), kFloatTolerance);
}

TEST_P(LlamaGolden, LogitsOfRowsLongerThanTheTrainedContextEqualPythons) {
  EXPECT_LT(relative_error(logits({.input_ids = file["long_ids"]}), file["long_logits"]),
            kFloatTolerance);
}

TEST_P(LlamaGolden, LogitsAtGivenPositionsEqualPythons) {
  const auto got = logits({.input_ids = file["ids"],
                           .attention_mask = at::ones_like(file["ids"]),
                           .position_ids = file["positions"]});
  EXPECT_LT(relative_error(got, file["positions_logits"]), kFloatTolerance);
}

TEST_P(LlamaGolden, PackedSequencesDoNotSeeEachOther) {
  const auto got = logits({.input_ids = file["ids"], .position_ids = file["packed"]});
  EXPECT_LT(relative_error(got, file["packed_logits"]), kFloatTolerance);
}

TEST_P(LlamaGolden, LogitsAfterACachedPrefixEqualPythons) {
  for (const int64_t prefix : {4, 8}) {
    auto cache = model->new_cache();
    logits({.input_ids = file["ids"].narrow(1, 0, prefix),
            .attention_mask = file["left_mask"].narrow(1, 0, prefix),
            .cache = cache.get()});
    EXPECT_EQ(cache->length(), prefix);
    const auto got = logits({.input_ids = file["ids"].narrow(1, prefix, 9 - prefix),
                             .attention_mask = file["left_mask"],
                             .cache = cache.get()});
    EXPECT_LT(relative_error(got, file[prefix == 4 ? "cached_logits" : "step_logits"]),
              kFloatTolerance);
  }
}

TEST_P(LlamaGolden, Bfloat16LogitsStayCloseToPythons) {
  model = golden_model(file, at::kBFloat16);
  const auto got = logits({.input_ids = file["ids"], .attention_mask = file["right_mask"]});
  EXPECT_EQ(got.scalar_type(), at::kBFloat16);
  // A processor without bfloat16 products gets float32 ones: another rounding than Python's, which
  // must then lie nearer to the exact logits than Python's own.
  const auto python = file["bfloat16_logits"], exact = file["right_logits"];
  if (relative_error(got, python) >= kBfloat16Tolerance) {
    EXPECT_FALSE(multiplies_bfloat16_fast());
    EXPECT_LE(relative_error(got, exact), relative_error(python, exact));
  }
}

TEST_P(LlamaGolden, Float16Runs) {
  model = golden_model(file, at::kHalf);
  const auto got = logits({.input_ids = file["ids"]});
  EXPECT_EQ(got.scalar_type(), at::kHalf);
  EXPECT_LT(relative_error(got, file["logits"]), kBfloat16Tolerance);
}

TEST_P(LlamaGolden, LossAndGradientsEqualPythonsWithAndWithoutCheckpointing) {
  for (const bool recompute : {false, true}) {
    model = golden_model(file);
    model->train();
    model->set_gradient_checkpointing(recompute);
    for (auto& parameter : model->parameters()) parameter.requires_grad_(true);
    const auto embeds = model->embed(file["ids"]).detach().requires_grad_(true);
    const auto loss = model->loss_sum(
        {.inputs_embeds = embeds, .attention_mask = file["right_mask"]}, file["labels"]);
    EXPECT_LT(relative_error(loss, file["loss"]), kFloatTolerance);
    loss.backward();
    EXPECT_LT(relative_error(embeds.grad(), file["gradient/inputs_embeds"]),
              kLlamaGradientTolerance);
    const auto parameters = model->named_parameters();
    for (const auto& [key, expected] : file.tensors) {
      if (!key.starts_with("gradient/") || key == "gradient/inputs_embeds") continue;
      const auto name = key.substr(std::string("gradient/").size());
      EXPECT_LT(relative_error(parameters[name].grad(), expected), kLlamaGradientTolerance) << name;
    }
  }
}

TEST_P(LlamaGolden, AFrozenModelGivesTheSameGradientOfItsInput) {
  const auto embeds = model->embed(file["ids"]).detach().requires_grad_(true);
  const auto loss = model->loss_sum({.inputs_embeds = embeds, .attention_mask = file["right_mask"]},
                                    file["labels"]);
  loss.backward();
  EXPECT_LT(relative_error(loss, file["loss"]), kFloatTolerance);
  EXPECT_LT(relative_error(embeds.grad(), file["gradient/inputs_embeds"]), kLlamaGradientTolerance);
}

INSTANTIATE_TEST_SUITE_P(Models, LlamaGolden, testing::ValuesIn(test::golden_names()),
                         [](const auto& info) { return info.param; });

TEST(LlamaModel, ParameterNamesAreTheCheckpointsKeys) {
  const auto file = GoldenFile::read("models", "qwen3_norms");
  const auto model = golden_model(file);
  for (const auto& item : model->named_parameters()) {
    EXPECT_TRUE(file.tensors.contains("weight/" + item.key())) << item.key();
  }
}

TEST(LlamaModel, RefusesBothOrNeitherKindOfInput) {
  const auto file = GoldenFile::read("models", "llama_plain");
  const auto model = golden_model(file);
  EXPECT_THROW(model->forward({}), ConfigError);
  const auto embeds = model->embed(file["ids"]);
  EXPECT_THROW(model->forward({.input_ids = file["ids"], .inputs_embeds = embeds}), ConfigError);
}

TEST(LlamaModel, RefusesAMaskThatIsShorterThanTheInput) {
  const auto file = GoldenFile::read("models", "llama_plain");
  const auto model = golden_model(file);
  EXPECT_THROW(model->forward(
                   {.input_ids = file["ids"], .attention_mask = file["left_mask"].narrow(1, 0, 5)}),
               ConfigError);
}

}  // namespace
}  // namespace peft
