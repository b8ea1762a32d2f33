#include "peft/models/common/task_losses.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "peft/base/error.h"

namespace peft {
namespace {

using torch::indexing::Slice;

double value_of(const at::Tensor& loss) { return loss.item<double>(); }

TEST(TaskLosses, LabelsTellTheProblemWhereTheConfigDoesNot) {
  const auto logits = torch::tensor({{2.0, -1.0, 0.5}, {0.1, 0.2, 0.3}});
  const auto classes = torch::tensor({2, 0});
  EXPECT_NEAR(value_of(sequence_classification_loss(logits, classes, Json::object())),
              value_of(torch::nn::functional::cross_entropy(logits, classes)), 1e-6);
  const auto many = torch::tensor({{1.0, 0.0, 1.0}, {0.0, 0.0, 1.0}});
  EXPECT_NEAR(value_of(sequence_classification_loss(logits, many, Json::object())),
              value_of(torch::nn::functional::binary_cross_entropy_with_logits(logits, many)),
              1e-6);
  const auto numbers = torch::tensor({0.5, -1.0});
  const auto one = logits.index({Slice(), Slice(0, 1)});
  EXPECT_NEAR(value_of(sequence_classification_loss(one, numbers, Json::object())),
              value_of(torch::mse_loss(one.squeeze(1), numbers)), 1e-6);
  const Json regression = {{"problem_type", "regression"}};
  EXPECT_NEAR(value_of(sequence_classification_loss(logits, many, regression)),
              value_of(torch::mse_loss(logits, many)), 1e-6);
}

TEST(TaskLosses, IgnoredTokensAndPositionsOutsideDoNotCount) {
  const auto logits = torch::randn({2, 4, 3});
  const auto labels = torch::tensor({{0, -100, 2, 1}, {-100, -100, -100, 1}});
  const auto rows = torch::stack({logits[0][0], logits[0][2], logits[0][3], logits[1][3]});
  EXPECT_NEAR(value_of(token_classification_loss(logits, labels)),
              value_of(torch::nn::functional::cross_entropy(rows, torch::tensor({0, 2, 1, 1}))),
              1e-6);
  const auto spans = torch::randn({2, 4, 2});
  const auto start = torch::tensor({1, 9}), end = torch::tensor({2, 3});
  const auto starts = spans.select(2, 0), ends = spans.select(2, 1);
  const double expected =
      (value_of(torch::nn::functional::cross_entropy(starts.slice(0, 0, 1), torch::tensor({1}))) +
       value_of(torch::nn::functional::cross_entropy(ends, end))) /
      2;
  EXPECT_NEAR(value_of(question_answering_loss(spans, start, end)), expected, 1e-6);
}

TEST(TaskLosses, LabelsThatDoNotFitAreRefused) {
  const auto logits = torch::randn({2, 3});
  const auto loss = [&](const at::Tensor& labels, const Json& config = Json::object()) {
    return sequence_classification_loss(logits, labels, config);
  };
  EXPECT_THROW(loss(torch::tensor({3, 0})), ConfigError);
  EXPECT_THROW(loss(torch::tensor({-1, 0})), ConfigError);
  EXPECT_THROW(loss(torch::tensor({0})), ConfigError);
  EXPECT_THROW(loss({}), ConfigError);
  EXPECT_THROW(loss(torch::tensor({0.5, 1.0})), ConfigError);
  EXPECT_THROW(loss(torch::tensor({0, 1}), {{"problem_type", "guessing"}}), ConfigError);
  EXPECT_THROW(token_classification_loss(torch::randn({2, 4, 3}), torch::zeros({2, 3}, at::kLong)),
               ConfigError);
  EXPECT_THROW(
      question_answering_loss(torch::randn({2, 4, 2}), torch::tensor({1}), torch::tensor({1, 2})),
      ConfigError);
}

}  // namespace
}  // namespace peft
