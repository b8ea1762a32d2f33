#include "peft/models/t5/model.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "peft/base/error.h"
#include "peft/models/common/load_weights.h"
#include "peft/models/registry.h"
#include "tests/models/contract.h"

namespace peft {
namespace {

using test::Contract;
using test::relative_error;

Seq2SeqModel as_seq2seq(const PretrainedModel& model) {
  return std::dynamic_pointer_cast<Seq2SeqModelImpl>(model);
}

TEST(T5Model, InFloat16TheLastProductOfABlockStaysInFloat32) {
  const auto model = Contract::read("t5_relu_lm").model(at::kHalf);
  for (const auto& item : model->named_parameters()) {
    const bool wide = item.key().ends_with(".wo.weight");
    EXPECT_EQ(item.value().scalar_type(), wide ? at::kFloat : at::kHalf) << item.key();
  }
}

TEST(T5Model, LabelsAreShiftedBehindTheStartToken) {
  const auto model = as_seq2seq(Contract::read("t5_relu_lm").model());
  const auto labels = at::tensor({5, 6, -100, 7}, at::kLong).unsqueeze(0);
  const auto expected = at::tensor({0, 5, 6, 0}, at::kLong).unsqueeze(0);
  EXPECT_TRUE(at::equal(model->shift_right(labels), expected));
  EXPECT_EQ(model->decoder_start_token_id(), 0);
}

TEST(T5Model, WithoutAStartTokenItSaysSo) {
  auto file = Contract::read("t5_relu_lm");
  file.file.config.erase("decoder_start_token_id");
  const auto model = as_seq2seq(make_model(file.file.config, ModelTask::kSeq2SeqLM));
  EXPECT_THROW(model->decoder_start_token_id(), ConfigError);
  EXPECT_THROW(model->shift_right(at::zeros({1, 2}, at::kLong)), ConfigError);
}

TEST(T5Model, TheLossIsThatOfTheScores) {
  const auto file = Contract::read("t5_gated_lm");
  const auto model = as_seq2seq(file.model());
  const at::NoGradGuard no_grad;
  const auto labels = file["decoder_ids"].masked_fill(file["decoder_mask"].eq(0), -100);
  const Seq2SeqInput input{
      .encoder = {.input_ids = file["ids"], .attention_mask = file["right_mask"]}};
  auto scored = input;
  scored.decoder_input_ids = model->shift_right(labels);
  const auto logits = model->forward(scored);
  const auto expected = at::cross_entropy_loss(logits.reshape({-1, logits.size(2)}),
                                               labels.reshape({-1}), {}, at::Reduction::Sum);
  EXPECT_LT(relative_error(model->loss_sum(input, labels), expected), 1e-5);
  EXPECT_THROW(model->loss_sum(scored, labels.narrow(1, 0, 3)), ConfigError);
}

TEST(T5Model, AHeadOfItsOwnKeepsTheScale) {
  const auto file = Contract::read("t5_relu_lm");
  const auto model = as_seq2seq(file.model());
  const at::NoGradGuard no_grad;
  const Seq2SeqInput input{.encoder = {.input_ids = file["ids"]},
                           .decoder_input_ids = file["decoder_ids"]};
  model->untie_head(model->head_weight().clone());
  EXPECT_TRUE(model->named_parameters().contains("lm_head.weight"));
  EXPECT_LT(relative_error(model->forward(input), file["logits"]), 1e-5);
  EXPECT_EQ(model->config().at("tie_word_embeddings"), false);
  const auto again = as_seq2seq(make_model(model->config(), ModelTask::kSeq2SeqLM));
  EXPECT_TRUE(again->named_parameters().contains("lm_head.weight"));
  again->named_parameters()["shared.weight"].set_data(model->embed(at::arange(43)));
}

// transformers writes tie_word_embeddings = true for every model: what is in the file decides.
TEST(T5Model, TheCheckpointTellsWhetherTheHeadIsTheEmbedding) {
  auto file = Contract::read("t5_relu_lm");
  const auto shared = file["weight/shared.weight"];
  file.file.tensors["weight/lm_head.weight"] = shared;
  file.file.tensors["weight/encoder.embed_tokens.weight"] = shared;
  EXPECT_FALSE(file.model()->named_parameters().contains("lm_head.weight"));
  file.file.tensors["weight/lm_head.weight"] = shared * 2;
  const auto model = as_seq2seq(file.model());
  EXPECT_TRUE(model->named_parameters().contains("lm_head.weight"));
  const at::NoGradGuard no_grad;
  const auto logits = model->forward(
      {.encoder = {.input_ids = file["ids"]}, .decoder_input_ids = file["decoder_ids"]});
  EXPECT_LT(relative_error(logits, file["logits"] * 2), 1e-5);
  file.file.tensors.erase("weight/lm_head.weight");
  file.file.config["tie_word_embeddings"] = false;
  EXPECT_FALSE(file.model()->named_parameters().contains("lm_head.weight"));
}

TEST(T5Model, RefusesADecoderWithoutTokens) {
  const auto file = Contract::read("t5_relu_lm");
  const auto model = as_seq2seq(file.model());
  EXPECT_THROW(model->decode({.encoder = {.input_ids = file["ids"]}}), ConfigError);
}

}  // namespace
}  // namespace peft
