#include "peft/models/bert/model.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "peft/base/error.h"
#include "tests/models/contract.h"

namespace peft {
namespace {

using test::Contract;
using test::relative_error;

std::shared_ptr<EncoderModelImpl> bert_body(const std::string& name) {
  return std::dynamic_pointer_cast<EncoderModelImpl>(Contract::read(name).model());
}

TEST(Bert, RowsThatAreLongerThanItsPositionsAreRefused) {
  const auto model = bert_body("bert_body");  // 16 positions
  at::NoGradGuard no_grad;
  EXPECT_NO_THROW(model->forward({.input_ids = at::full({1, 16}, 5)}));
  EXPECT_THROW(model->forward({.input_ids = at::full({1, 17}, 5)}), ConfigError);
}

TEST(Roberta, PaddingTakesNoPositions) {
  const auto model = bert_body("roberta_body");  // 16 positions, of which padding 1 leaves 14
  at::NoGradGuard no_grad;
  const auto padded = at::cat({at::full({1, 14}, 5), at::full({1, 6}, 1)}, 1);
  const auto mask = padded.ne(1).to(at::kLong);
  const auto got = model->forward({.input_ids = padded, .attention_mask = mask});
  const auto expected = model->forward({.input_ids = padded.narrow(1, 0, 14)});
  EXPECT_LT(relative_error(got.last_hidden_state.narrow(1, 0, 14), expected.last_hidden_state),
            1e-5);
  EXPECT_THROW(model->forward({.input_ids = at::full({1, 15}, 5)}), ConfigError);
  EXPECT_THROW(model->forward({.inputs_embeds = at::zeros({1, 15, 16})}), ConfigError);
}

TEST(Bert, ThePaddingsVectorGetsNoGradient) {
  const auto model = bert_body("bert_body");
  for (auto& parameter : model->parameters()) parameter.requires_grad_(true);
  model->forward({.input_ids = torch::tensor({{5, 0, 6}})})
      .last_hidden_state.square()
      .sum()
      .backward();
  const auto gradient = model->named_parameters()["embeddings.word_embeddings.weight"].grad();
  EXPECT_EQ(gradient[0].abs().sum().item<double>(), 0.0);
  EXPECT_GT(gradient[5].abs().sum().item<double>(), 0.0);
}

TEST(Bert, DropoutsActInTrainingAlone) {
  auto file = Contract::read("bert_sequence_classification");
  const auto ids = file["ids"];
  const auto different = [&](const char* dropout) {
    file.file.config["hidden_dropout_prob"] = 0.0;
    file.file.config["attention_probs_dropout_prob"] = 0.0;
    file.file.config["classifier_dropout"] = 0.0;
    file.file.config[dropout] = 0.5;
    const auto model = std::dynamic_pointer_cast<TaskModelImpl>(file.model());
    at::NoGradGuard no_grad;
    torch::manual_seed(3);
    EXPECT_LT(relative_error(model->forward({.input_ids = ids}), file["logits"]), 1e-5);
    model->train();
    return relative_error(model->forward({.input_ids = ids}), file["logits"]) > 1e-3;
  };
  EXPECT_TRUE(different("hidden_dropout_prob"));
  EXPECT_TRUE(different("attention_probs_dropout_prob"));
  EXPECT_TRUE(different("classifier_dropout"));
}

TEST(Bert, ACheckpointsFirstNamesAreKnown) {
  const auto model = bert_body("bert_body");
  EXPECT_EQ(model->renamed_key("encoder.layer.0.output.LayerNorm.gamma"),
            "encoder.layer.0.output.LayerNorm.weight");
  EXPECT_EQ(model->renamed_key("embeddings.LayerNorm.beta"), "embeddings.LayerNorm.bias");
  EXPECT_EQ(model->renamed_key("pooler.dense.weight"), "pooler.dense.weight");
}

TEST(Bert, AModelForAnswersHasTwoLabels) {
  auto config = Contract::read("bert_question_answering").file.config;
  config["num_labels"] = 3;
  EXPECT_THROW(bert::make_model(config, ModelTask::kQuestionAnswering, at::kFloat), ConfigError);
  EXPECT_EQ(bert::make_model(config, ModelTask::kCausalLM, at::kFloat), nullptr);
}

}  // namespace
}  // namespace peft
