// Answers in contexts of several windows: how they become tokens, and how they are found again.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "peft/answer_spans.h"
#include "peft/base/error.h"
#include "peft/task_examples.h"
#include "peft/task_meter.h"
#include "tests/front/support.h"
#include "tests/support/expect_message.h"

namespace peft {
namespace {

using train::TextWindow;

// A token for each letter.
std::shared_ptr<tokenizers::Tokenizer> letter_tokens() {
  std::string vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";
  for (char letter = 'a'; letter <= 'z'; ++letter) vocabulary += std::string(1, letter) + "\n";
  return tokenizers::Tokenizer::from_wordpiece_vocabulary(vocabulary, Json::object(), "letters");
}

TEST(Questions, AWindowWithoutTheAnswerPointsAtTheFirstToken) {
  const train::TaskRow row{.text = "q",
                           .text_pair = "a b c d e f g",
                           .answer = "e f",
                           .answer_start = 8,
                           .task_id = 3,
                           .where = "rows:1"};
  // [CLS] q [SEP] and three of the context [SEP]; one of them is the next one's first
  const auto windows =
      encode_question_windows(row, *letter_tokens(), {.max_length = 7, .doc_stride = 1});
  ASSERT_EQ(windows.size(), 3u);
  EXPECT_EQ(windows[0].example.row_target, (std::vector<double>{0, 0}));
  EXPECT_EQ(windows[1].example.row_target, (std::vector<double>{0, 0}));  // has its beginning alone
  EXPECT_EQ(windows[2].example.row_target, (std::vector<double>{3, 4}));
  EXPECT_EQ(windows[2].spans[3], std::make_pair(size_t{8}, size_t{9}));
  const TextWindow& last = *windows[2].example.window;
  EXPECT_EQ(last.begin, 3);
  EXPECT_EQ(last.end, 6);
  EXPECT_EQ(last.first_token, 4);
  EXPECT_EQ(windows[2].example.task_id, 3);
  EXPECT_EQ(encode_question_windows(row, *letter_tokens(), {.max_length = 0}).size(), 1u);
  test::expect_message<ConfigError>({"rows:1", "expected less than 3"}, [&] {
    encode_question_windows(row, *letter_tokens(), {.max_length = 7, .doc_stride = 3});
  });
}

// [T, 2] with a start and an end that stand out.
at::Tensor scores_with(int64_t tokens, int64_t start, int64_t end, double score) {
  at::Tensor scores = torch::zeros({tokens, 2});
  scores[start][0] = score;
  scores[end][1] = score;
  return scores;
}

TEST(Questions, TheBestAnswerOfAllWindowsIsFound) {
  const std::vector<ScoredWindow> windows = {
      {scores_with(6, 3, 4, 2.0), {.begin = 3, .end = 6}},
      {scores_with(6, 4, 5, 3.0), {.begin = 3, .end = 6}},
      {scores_with(6, 1, 2, 9.0), {.begin = 3, .end = 6}},  // in the question
  };
  const auto best = best_answers(windows, {.n_best_size = 3});
  ASSERT_EQ(best.size(), 3u);
  EXPECT_EQ(best[0].window, 1u);
  EXPECT_EQ(best[0].first, 4);
  EXPECT_EQ(best[0].last, 5);
  EXPECT_DOUBLE_EQ(best[0].score, 6.0);
  EXPECT_GE(best[1].score, best[2].score);
  const auto single = best_answers(windows, {.max_answer_length = 1});
  EXPECT_EQ(single[0].first, single[0].last);
  EXPECT_TRUE(best_answers({{torch::zeros({2, 2}), {.begin = 1, .end = 1}}}).empty());
  EXPECT_DOUBLE_EQ(
      no_answer_score({{torch::tensor({{1.0F, 2.0F}}), {}}, {torch::tensor({{-1.0F, 0.5F}}), {}}}),
      -0.5);
}

double named_figure(const TaskMeter& meter, const std::string& name) {
  for (const auto& [key, value] : meter.metrics()) {
    if (key == name) return value;
  }
  return -1;
}

TEST(Questions, AnEvaluationCountsWholeContexts) {
  // Two windows of one context, whose second one has the answer in its tokens 4 to 5.
  const std::vector<TextWindow> windows = {{.row = 7, .begin = 3, .end = 6, .first_token = 0},
                                           {.row = 7, .begin = 3, .end = 6, .first_token = 2}};
  const at::Tensor borders = torch::tensor({{0, 0}, {4, 5}});
  AnswerMeter right;
  right.add(at::stack({scores_with(6, 3, 3, 1.0), scores_with(6, 4, 5, 2.0)}), borders, windows);
  EXPECT_DOUBLE_EQ(named_figure(right, "exact_match"), 1.0);
  AnswerMeter wrong;
  wrong.add(at::stack({scores_with(6, 5, 5, 3.0), scores_with(6, 4, 5, 2.0)}), borders, windows);
  EXPECT_DOUBLE_EQ(named_figure(wrong, "exact_match"), 0.0);
  EXPECT_DOUBLE_EQ(named_figure(wrong, "f1"), 0.0);  // token 2, where 3 to 4 was meant
  AnswerMeter none;
  none.add(at::stack({scores_with(6, 0, 0, 9.0)}), torch::tensor({{0, 0}}), {windows[0]});
  EXPECT_DOUBLE_EQ(named_figure(none, "exact_match"), 1.0);
  none.add(at::stack({scores_with(6, 3, 4, 9.0)}), torch::tensor({{0, 0}}),
           {{.row = 8, .begin = 3, .end = 6}});
  EXPECT_DOUBLE_EQ(named_figure(none, "exact_match"), 0.5);
}

}  // namespace
}  // namespace peft
