#include "peft/models/bart/model.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "peft/base/error.h"
#include "peft/models/registry.h"
#include "tests/models/contract.h"

namespace peft {
namespace {

using test::Contract;
using test::relative_error;

Seq2SeqModel bart_lm(const Contract& file) {
  return std::dynamic_pointer_cast<Seq2SeqModelImpl>(file.model());
}

class BartClassification : public testing::Test {
 protected:
  Contract file{.file = test::GoldenFile::open(PEFT_SOURCE_DIR
                                               "/tests/models/bart/classification.safetensors"),
                .task = ModelTask::kSequenceClassification};
  TaskModel model = std::dynamic_pointer_cast<TaskModelImpl>(file.model());
};

TEST_F(BartClassification, ScoresAndGradientsEqualPythons) {
  EXPECT_EQ(model->num_labels(), 4);
  for (auto& parameter : model->parameters()) parameter.requires_grad_(true);
  const auto logits = model->forward({.input_ids = file["ids"], .attention_mask = file["mask"]});
  EXPECT_LT(relative_error(logits, file["logits"]), 1e-5);
  (logits * file["probe"]).sum().backward();
  const auto parameters = model->named_parameters();
  for (const auto& [key, expected] : file.file.tensors) {
    if (!key.starts_with("gradient/")) continue;
    const auto name = key.substr(std::string("gradient/").size());
    EXPECT_LT(relative_error(parameters[name].grad(), expected), 1e-4) << name;
  }
}

TEST_F(BartClassification, TheLastEndTokenOfARowCounts) {
  const at::NoGradGuard no_grad;
  const auto logits = model->forward({.input_ids = file["twice"], .attention_mask = file["mask"]});
  EXPECT_LT(relative_error(logits, file["twice_logits"]), 1e-5);
}

TEST_F(BartClassification, RefusesRowsWithoutTheSameNumberOfEndTokens) {
  const at::NoGradGuard no_grad;
  auto ids = file["ids"].clone();
  ids[0][7] = 5;
  EXPECT_THROW(model->forward({.input_ids = ids}), ConfigError);
  ids.fill_(5);
  EXPECT_THROW(model->forward({.input_ids = ids}), ConfigError);
  EXPECT_THROW(model->forward({.inputs_embeds = model->embed(ids)}), UnsupportedError);
}

TEST(BartModel, TheBufferIsAddedToTheScoresAndToTheLoss) {
  auto file = Contract::read("bart_lm");
  const auto bias = at::randn({1, 43});
  file.file.tensors["weight/final_logits_bias"] = bias;
  const auto model = bart_lm(file);
  const at::NoGradGuard no_grad;
  const Seq2SeqInput input{.encoder = {.input_ids = file["ids"]},
                           .decoder_input_ids = file["decoder_ids"]};
  const auto logits = model->forward(input);
  EXPECT_LT(relative_error(logits, file["logits"] + bias), 1e-5);
  const auto labels = file["decoder_ids"];
  const auto expected = at::cross_entropy_loss(logits.reshape({-1, 43}), labels.reshape({-1}), {},
                                               at::Reduction::Sum);
  EXPECT_LT(relative_error(model->loss_sum(input, labels), expected), 1e-5);
}

TEST(BartModel, RefusesMoreTokensThanItHasPositionsFor) {
  const auto model = bart_lm(Contract::read("bart_lm"));
  EXPECT_THROW(model->encode({.input_ids = at::full({1, 17}, 5, at::kLong)}), ConfigError);
}

TEST(BartModel, LayersThatAreLeftOutInTrainingDoNotCount) {
  auto file = Contract::read("bart_lm");
  file.file.config["encoder_layerdrop"] = 1.0;
  const auto model = bart_lm(file);
  const at::NoGradGuard no_grad;
  const auto ids = file["ids"];
  const auto all = model->encode({.input_ids = ids});
  model->train();
  EXPECT_GT(relative_error(model->encode({.input_ids = ids}), all), 1e-2);
  file.file.config["encoder_layerdrop"] = 0.0;
  const auto plain = bart_lm(file);
  plain->train();
  EXPECT_LT(relative_error(plain->encode({.input_ids = ids}), all), 1e-5);
}

TEST(BartModel, AHeadOfItsOwnIsTold) {
  const auto file = Contract::read("bart_lm");
  const auto model = bart_lm(file);
  model->untie_head(model->head_weight() * 2);
  const at::NoGradGuard no_grad;
  const auto logits = model->forward(
      {.encoder = {.input_ids = file["ids"]}, .decoder_input_ids = file["decoder_ids"]});
  EXPECT_LT(relative_error(logits, file["logits"] * 2), 1e-5);
  EXPECT_EQ(model->config().at("tie_word_embeddings"), false);
}

}  // namespace
}  // namespace peft
