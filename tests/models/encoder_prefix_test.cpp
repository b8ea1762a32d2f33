// Keys and values of a prefix in an encoder's cache, as Python PEFT's prefix tuning puts them
// there.

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "peft/base/error.h"
#include "peft/models/common/encoder_model.h"
#include "peft/models/registry.h"
#include "tests/models/golden_file.h"

namespace peft {
namespace {

using test::GoldenFile;
using test::relative_error;

constexpr double kPrefixTolerance = 1e-5;
constexpr double kPrefixGradientTolerance = 1e-4;

class EncoderPrefix : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    file = GoldenFile::open(PEFT_SOURCE_DIR "/tests/models/prefix/" + std::string(GetParam()) +
                            ".safetensors");
    const auto task = file.metadata.at("task") == "token_classification"
                          ? ModelTask::kTokenClassification
                          : ModelTask::kSequenceClassification;
    model = std::dynamic_pointer_cast<TaskModelImpl>(make_model(file.config, task));
    load_weights(*model, file.weights());
    model->eval();
  }

  // The cache of a prompt [N, 2 * layers * hidden], the same for all rows.
  std::unique_ptr<KeyValueCache> prefix(const at::Tensor& prompt) const {
    const auto shape = model->shape();
    const auto rows = file["ids"].size(0), tokens = prompt.size(0);
    const auto parts = prompt.view({tokens, 2 * shape.layers, shape.heads, shape.head_dim})
                           .expand({rows, tokens, 2 * shape.layers, shape.heads, shape.head_dim})
                           .permute({2, 0, 3, 1, 4});
    auto cache = model->new_cache();
    for (int64_t i = 0; i < shape.layers; ++i) cache->append(i, parts[2 * i], parts[2 * i + 1]);
    return cache;
  }

  at::Tensor mask() const {
    return at::cat(
        {at::ones({file["ids"].size(0), file["prompt"].size(0)}, at::kLong), file["mask"]}, 1);
  }

  GoldenFile file;
  TaskModel model;
};

TEST_P(EncoderPrefix, LogitsEqualPythons) {
  at::NoGradGuard no_grad;
  auto cache = prefix(file["prompt"]);
  const auto got = model->forward({.input_ids = file["ids"], .cache = cache.get()});
  EXPECT_LT(relative_error(got, file["logits"]), kPrefixTolerance);
}

TEST_P(EncoderPrefix, LogitsOfEmbeddingsEqualPythons) {
  at::NoGradGuard no_grad;
  auto cache = prefix(file["prompt"]);
  const auto got = model->forward(
      {.inputs_embeds = model->embed(file["ids"]), .attention_mask = mask(), .cache = cache.get()});
  EXPECT_LT(relative_error(got, file["embeds_logits"]), kPrefixTolerance);
}

TEST_P(EncoderPrefix, LogitsAndGradientOfPaddedRowsEqualPythons) {
  const auto prompt = file["prompt"].clone().requires_grad_(true);
  auto cache = prefix(prompt);
  const auto got =
      model->forward({.input_ids = file["ids"], .attention_mask = mask(), .cache = cache.get()});
  EXPECT_LT(relative_error(got, file["mask_logits"]), kPrefixTolerance);
  (got * file["probe"]).sum().backward();
  EXPECT_LT(relative_error(prompt.grad(), file["gradient"]), kPrefixGradientTolerance);
}

TEST_P(EncoderPrefix, AMaskOfTheTokensAloneIsRefused) {
  auto cache = prefix(file["prompt"]);
  EXPECT_THROW(
      model->forward(
          {.input_ids = file["ids"], .attention_mask = file["mask"], .cache = cache.get()}),
      ConfigError);
}

TEST_P(EncoderPrefix, GivenPositionsAndTypesEqualPythons) {
  at::NoGradGuard no_grad;
  const auto got = model->forward({.input_ids = file["ids"],
                                   .token_type_ids = file["types"],
                                   .position_ids = file["positions"]});
  EXPECT_LT(relative_error(got, file["positions_logits"]), kPrefixTolerance);
}

INSTANTIATE_TEST_SUITE_P(Models, EncoderPrefix,
                         testing::Values("bert_sequences", "bert_tokens", "roberta_sequences"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace peft
