#include "peft/models/common/language_model.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "peft/base/error.h"
#include "tests/models/golden_file.h"

namespace peft {
namespace {

using test::golden_model;
using test::GoldenFile;

class LossSum : public testing::Test {
 protected:
  double reference(const LanguageModelInput& input, const at::Tensor& labels) {
    at::NoGradGuard no_grad;
    const auto logits = model->forward(input), next = labels.narrow(1, 1, 8);
    return at::cross_entropy_loss(logits.narrow(1, 0, 8).reshape({-1, logits.size(2)}),
                                  next.reshape({-1}), {}, at::Reduction::Sum)
        .item<double>();
  }
  void expect_reference(const at::Tensor& mask, const at::Tensor& labels) {
    const LanguageModelInput input{.input_ids = file["ids"], .attention_mask = mask};
    EXPECT_NEAR(model->loss_sum(input, labels).item<double>(), reference(input, labels), 1e-3);
  }
  GoldenFile file = GoldenFile::read("models", "mistral_window");
  LanguageModel model = golden_model(file);
};

TEST_F(LossSum, EqualsTheCrossEntropyOfTheLogitsUnderEveryKindOfMask) {
  const auto labels = file["ids"].clone();
  const auto right = file["right_mask"], left = file["left_mask"];
  expect_reference({}, labels);
  expect_reference(right, labels.masked_fill(right.eq(0), -100));
  expect_reference(left, labels.masked_fill(left.eq(0), -100));
}

TEST_F(LossSum, APaddingTokenWhoseSuccessorCountsKeepsTheMask) {
  expect_reference(file["right_mask"], file["ids"]);
}

TEST_F(LossSum, IsZeroWhereNoLabelCounts) {
  const auto labels = at::full_like(file["ids"], -100);
  EXPECT_EQ(model->loss_sum({.input_ids = file["ids"]}, labels).item<double>(), 0.0);
}

TEST_F(LossSum, RefusesLabelsOfAnotherShape) {
  EXPECT_THROW(model->loss_sum({.input_ids = file["ids"]}, file["ids"].narrow(1, 0, 4)),
               ConfigError);
}

}  // namespace
}  // namespace peft
