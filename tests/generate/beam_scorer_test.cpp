#include "peft/generate/beam_scorer.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

namespace peft {
namespace {

constexpr int64_t kEnd = 2;

GenerateOptions two_beams() {
  GenerateOptions options{.max_new_tokens = 4, .stop_token_ids = {kEnd}};
  options.num_beams = 2;
  options.num_return_sequences = 2;
  return options;
}

BeamCandidates ways(std::vector<float> scores, std::vector<int64_t> beams,
                    std::vector<int64_t> tokens) {
  return {.scores = at::tensor(scores), .beams = std::move(beams), .tokens = std::move(tokens)};
}

TEST(BeamScorer, WantsEnoughCandidatesToRunOnWhateverStops) {
  auto options = two_beams();
  EXPECT_EQ(BeamScorer::candidates(options), 4);
  options.stop_token_ids = {2, 3, 4};
  EXPECT_EQ(BeamScorer::candidates(options), 8);
  options.stop_token_ids = {};
  EXPECT_EQ(BeamScorer::candidates(options), 4);
}

TEST(BeamScorer, BeginsWithOneBeamThatCounts) {
  const auto options = two_beams();
  const BeamScorer scorer(options);
  EXPECT_EQ(scorer.running_scores()[0].item<float>(), 0.0F);
  EXPECT_LT(scorer.running_scores()[1].item<float>(), -1e8F);
}

TEST(BeamScorer, RunsOnWithTheBestThatDoNotStopAndTellsTheirParents) {
  const auto options = two_beams();
  BeamScorer scorer(options);
  EXPECT_TRUE(scorer.advance(ways({-1, -2, -3, -4}, {0, 0, 0, 0}, {7, kEnd, 8, 9})));
  EXPECT_EQ(scorer.running()[0].tokens, (std::vector<int64_t>{7}));
  EXPECT_EQ(scorer.running()[1].tokens, (std::vector<int64_t>{8}));
  scorer.advance(ways({-1.5F, -2.5F, -3.5F, -4.5F}, {1, 0, 1, 0}, {5, 6, 7, 8}));
  EXPECT_EQ(scorer.running()[0].tokens, (std::vector<int64_t>{8, 5}));
  EXPECT_EQ(scorer.running()[0].parent, 1);
  EXPECT_EQ(scorer.running()[1].tokens, (std::vector<int64_t>{7, 6}));
}

TEST(BeamScorer, OnlyTheFirstCandidatesMayFinish) {
  const auto options = two_beams();
  BeamScorer scorer(options);
  scorer.advance(ways({-1, -2, -3, -4}, {0, 0, 0, 0}, {7, 8, kEnd, 9}));
  EXPECT_LT(scorer.best()[0].score, -1e8) << "the third one is there to run on";
}

TEST(BeamScorer, ScoresAreDividedByTheLengthToThePenalty) {
  auto options = two_beams();
  options.length_penalty = 2.0;
  BeamScorer scorer(options);
  scorer.advance(ways({-1, -2, -3, -4}, {0, 0, 0, 0}, {7, 8, 9, 10}));
  scorer.advance(ways({-2, -3, -4, -5}, {0, 0, 1, 1}, {kEnd, 8, 9, 10}));
  EXPECT_NEAR(scorer.best()[0].score, -2.0 / 4.0, 1e-6);
  EXPECT_EQ(scorer.best()[0].tokens, (std::vector<int64_t>{7, kEnd}));
  EXPECT_EQ(scorer.best()[0].reason, FinishReason::kStopToken);
}

TEST(BeamScorer, EarlyStoppingEndsWithEnoughFinishedBeams) {
  auto options = two_beams();
  options.early_stopping = EarlyStopping::kTrue;
  for (const bool early : {true, false}) {
    if (!early) options.early_stopping = EarlyStopping::kNever;
    BeamScorer scorer(options);
    scorer.advance(ways({-1, -2, -3, -4}, {0, 0, 0, 0}, {kEnd, 7, 8, 9}));
    EXPECT_FALSE(scorer.is_done());
    scorer.advance(ways({-2, -2.5F, -3, -4}, {0, 0, 1, 1}, {kEnd, 7, 8, 9}));
    EXPECT_EQ(scorer.is_done(), early) << "-2.5 over four tokens would still beat -1";
  }
}

TEST(BeamScorer, IsDoneWhereNothingThatRunsCanWin) {
  const auto options = two_beams();
  BeamScorer scorer(options);
  scorer.advance(ways({-1, -2, -3, -4}, {0, 0, 0, 0}, {kEnd, 7, 8, 9}));
  scorer.advance(ways({-2, -40, -41, -42}, {0, 0, 1, 1}, {kEnd, 7, 8, 9}));
  EXPECT_TRUE(scorer.is_done());
  EXPECT_NEAR(scorer.best()[0].score, -1.0, 1e-6);
  EXPECT_NEAR(scorer.best()[1].score, -1.0, 1e-6);
}

TEST(BeamScorer, EverythingEndsAtTheLastToken) {
  auto options = two_beams();
  options.max_new_tokens = 1;
  BeamScorer scorer(options);
  EXPECT_FALSE(scorer.advance(ways({-1, -2, -3, -4}, {0, 0, 0, 0}, {5, 6, 7, 8})));
  EXPECT_EQ(scorer.best()[0].tokens, (std::vector<int64_t>{5}));
  EXPECT_EQ(scorer.best()[1].tokens, (std::vector<int64_t>{6}));
  EXPECT_EQ(scorer.best()[0].reason, FinishReason::kLength);
}

}  // namespace
}  // namespace peft
