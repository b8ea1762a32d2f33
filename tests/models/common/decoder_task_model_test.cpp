#include "peft/models/common/decoder_task_model.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "peft/base/error.h"
#include "tests/models/contract.h"

namespace peft {
namespace {

using test::Contract;

class LastToken : public testing::Test {
 protected:
  at::Tensor scores(const Json& padding, const at::Tensor& ids) {
    auto changed = file;
    if (padding.is_string()) {
      changed.file.config.erase("pad_token_id");
    } else {
      changed.file.config["pad_token_id"] = padding;
    }
    at::NoGradGuard no_grad;
    return test::scores(*changed.model(), {.ids = ids});
  }
  const Contract file = Contract::read("llama_sequences");
  const at::Tensor ids = at::tensor({5, 6, 0, 7, 0, 0}, at::kLong).unsqueeze(0);
};

TEST_F(LastToken, PaddingWithinARowDoesNotEndIt) {
  EXPECT_LT(test::relative_error(scores(0, ids), scores(nullptr, ids.narrow(1, 0, 4))), 1e-6);
}

TEST_F(LastToken, OfARowOfPaddingIsTheFirst) {
  const auto padding = at::zeros({1, 4}, at::kLong);
  EXPECT_LT(test::relative_error(scores(0, padding), scores(nullptr, padding.narrow(1, 0, 1))),
            1e-6);
}

TEST_F(LastToken, WithoutAPaddingTokenIsTheLastOfOneRow) {
  const auto expected = scores(0, ids.narrow(1, 0, 4));
  EXPECT_LT(test::relative_error(scores(nullptr, ids.narrow(1, 0, 4)), expected), 1e-6);
  EXPECT_LT(test::relative_error(scores("absent", ids.narrow(1, 0, 4)), expected), 1e-6);
  EXPECT_LT(test::relative_error(scores(-1, ids.narrow(1, 0, 4)), expected), 1e-6);
  EXPECT_THROW(scores(nullptr, ids.repeat({2, 1})), ConfigError);
  EXPECT_NO_THROW(scores(-1, ids.repeat({2, 1})));
}

TEST_F(LastToken, APaddingTokenThatIsNoNumberIsAnError) {
  EXPECT_THROW(scores(1.5, ids), ConfigError);
  EXPECT_THROW(scores(Json::array(), ids), ConfigError);
}

TEST(DecoderTaskModel, TokenDropoutComesFromTheConfig) {
  const auto dropout = [](const Json& config) {
    return read_token_dropout(ConfigReader(config, "config.json"));
  };
  EXPECT_DOUBLE_EQ(dropout(Json::object()), 0.1);
  EXPECT_DOUBLE_EQ(dropout({{"hidden_dropout", 0.2}}), 0.2);
  EXPECT_DOUBLE_EQ(dropout({{"hidden_dropout", 0.2}, {"classifier_dropout", 0.0}}), 0.0);
  EXPECT_DOUBLE_EQ(dropout({{"hidden_dropout", 0.2}, {"classifier_dropout", nullptr}}), 0.2);
  EXPECT_THROW(dropout({{"classifier_dropout", 3}}), ConfigError);
}

TEST(DecoderTaskModel, LabelsAreThoseOfTheConfig) {
  const auto file = Contract::read("gpt2_tokens");
  const auto model = std::dynamic_pointer_cast<TaskModelImpl>(file.model());
  ASSERT_TRUE(model);
  EXPECT_EQ(model->num_labels(), 3);
  EXPECT_EQ(model->task(), ModelTask::kTokenClassification);
  EXPECT_EQ(model->base_model_prefix(), "transformer");
}

}  // namespace
}  // namespace peft
