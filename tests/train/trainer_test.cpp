#include "peft/train/trainer.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <fstream>

#include "peft/base/error.h"
#include "peft/base/warnings.h"
#include "peft/train/run_checkpoint.h"
#include "tests/train/toy_task.h"

namespace peft::train {
namespace {

class TrainerTest : public testing::Test {
 protected:
  TrainOptions options(int64_t steps) {
    return {.output_dir = folder_.path().string(),
            .per_device_train_batch_size = 4,
            .learning_rate = 0.05,
            .max_steps = steps,
            .logging_steps = 3,
            .save_strategy = "no"};
  }

  TrainResult train(const TrainOptions& options, ToyTask& task, TrainEvents events = {}) {
    torch::manual_seed(7);
    return Trainer(options, {.train = toy_rows(30), .valid = toy_rows(5)}, task, std::move(events))
        .train();
  }

  std::vector<int64_t> saved_steps() {
    std::vector<int64_t> steps;
    for (const auto& checkpoint : whole_checkpoints(folder_.path()))
      steps.push_back(checkpoint.step);
    return steps;
  }

  TemporaryFolder folder_;
};

TEST_F(TrainerTest, TheLossFalls) {
  ToyTask task;
  const TrainResult result = train(options(80), task);
  const Json& log = result.state.log_history;
  EXPECT_LT(log[log.size() - 2]["loss"].get<double>(), 0.5 * log[0]["loss"].get<double>());
  EXPECT_EQ(result.state.global_step, 80);
  EXPECT_EQ(result.state.num_train_epochs, 10);
  EXPECT_DOUBLE_EQ(result.state.epoch, 10.0);
}

TEST_F(TrainerTest, TheLogHasTheTrainersShape) {
  ToyTask task;
  const Json log = train(options(7), task).state.log_history;
  ASSERT_EQ(log.size(), 3);  // steps 3 and 6, and the summary
  for (const char* key : {"loss", "grad_norm", "learning_rate", "epoch", "step"}) {
    EXPECT_TRUE(log[0].contains(key)) << key;
  }
  EXPECT_EQ(log[1]["step"], 6);
  EXPECT_TRUE(log[2].contains("train_loss"));
}

TEST_F(TrainerTest, AStepOfTwoSmallBatchesEqualsOneOfTheirRows) {
  ToyTask whole(12, 0), parts(12, 0);
  auto big = options(6);
  big.shuffle = false;
  auto small = big;
  big.per_device_train_batch_size = 6;
  small.per_device_train_batch_size = 2;  // rows of unequal length: means of means would differ
  small.gradient_accumulation_steps = 3;
  train(big, whole);
  train(small, parts);
  EXPECT_TRUE(torch::allclose(whole.weight, parts.weight, 1e-5, 1e-6));
}

TEST_F(TrainerTest, AResumedRunEndsWithTheSameBits) {
  auto saving = options(20);
  saving.save_strategy = "steps";
  saving.save_steps = 7;  // not a step that is logged
  ToyTask straight;
  const TrainResult expected = train(saving, straight);
  EXPECT_EQ(saved_steps(), (std::vector<int64_t>{7, 14, 20}));

  std::filesystem::remove_all(folder_.path() / "checkpoint-20");
  std::filesystem::create_directories(folder_.path() / "checkpoint-17");  // a write that was killed
  saving.resume_from_checkpoint = "true";
  ToyTask resumed;
  torch::manual_seed(99);
  const TrainResult result = Trainer(saving, {.train = toy_rows(30)}, resumed).train();
  EXPECT_TRUE(torch::equal(straight.weight, resumed.weight));
  const Json& a = expected.state.log_history;
  const Json& b = result.state.log_history;
  ASSERT_EQ(a.size(), b.size());
  // Objects without an order of keys: what is read from a file has them sorted.
  for (size_t i = 0; i + 1 < a.size(); ++i) {
    EXPECT_EQ(nlohmann::json::parse(a[i].dump()), nlohmann::json::parse(b[i].dump()));
  }
}

TEST_F(TrainerTest, AStopSavesWhatWasReached) {
  std::atomic<int> stop = 0;
  auto saving = options(20);
  saving.save_strategy = "steps";
  ToyTask task;
  const TrainResult result = train(saving, task,
                                   {.on_step =
                                        [&](const StepReport& report) {
                                          if (report.step == 5) stop = 2;
                                        },
                                    .stop = &stop});
  EXPECT_TRUE(result.stopped);
  EXPECT_EQ(saved_steps(), (std::vector<int64_t>{5}));
}

TEST_F(TrainerTest, TheEndIsEvaluatedAndSavedWhereverItFalls) {
  for (const char* strategy : {"steps", "epoch"}) {  // 8 steps an epoch
    auto ending = options(10);
    ending.output_dir = (folder_.path() / strategy).string();
    ending.eval_strategy = ending.save_strategy = strategy;
    ending.eval_steps = ending.save_steps = 8;
    ToyTask task;
    std::vector<int64_t> evaluated, saved;
    for (const Json& entry : train(ending, task).state.log_history) {
      if (entry.contains("eval_loss")) evaluated.push_back(entry["step"].get<int64_t>());
    }
    for (const auto& checkpoint : whole_checkpoints(ending.output_dir)) {
      saved.push_back(checkpoint.step);
    }
    EXPECT_EQ(evaluated, (std::vector<int64_t>{8, 10})) << strategy;
    EXPECT_EQ(saved, (std::vector<int64_t>{8, 10})) << strategy;
  }
}

TEST_F(TrainerTest, OldCheckpointsAreDeleted) {
  auto saving = options(10);
  saving.save_strategy = "steps";
  saving.save_steps = 2;
  saving.save_total_limit = 2;
  ToyTask task;
  train(saving, task);
  EXPECT_EQ(saved_steps(), (std::vector<int64_t>{8, 10}));
}

TEST_F(TrainerTest, WhatWasWrittenLastStaysEvenBesideHigherSteps) {
  auto earlier = options(20);
  earlier.save_strategy = "steps";
  earlier.save_steps = 20;
  ToyTask task;
  train(earlier, task);
  ASSERT_EQ(saved_steps(), (std::vector<int64_t>{20}));
  auto anew = options(4);
  anew.save_strategy = "steps";
  anew.save_steps = 2;
  anew.save_total_limit = 1;
  std::vector<std::string> warnings;
  const auto former = set_warning_sink([&](const std::string& text) { warnings.push_back(text); });
  train(anew, task);
  set_warning_sink(former);
  EXPECT_EQ(saved_steps(), (std::vector<int64_t>{4}));
  ASSERT_EQ(warnings.size(), 1);
  EXPECT_NE(warnings[0].find("earlier run"), std::string::npos) << warnings[0];
}

TEST_F(TrainerTest, AFolderThatCannotBeWrittenIsToldBeforeTheFirstStep) {
  std::ofstream(folder_.path() / "file") << "x";
  auto blocked = options(3);
  blocked.output_dir = (folder_.path() / "file").string();
  ToyTask task;
  int64_t steps = 0;
  EXPECT_THROW(train(blocked, task, {.on_step = [&](const StepReport&) { ++steps; }}), IoError);
  EXPECT_EQ(steps, 0);
}

TEST_F(TrainerTest, AFullDiskLosesNoEarlierCheckpoint) {
  auto saving = options(10);
  saving.save_strategy = "steps";
  saving.save_steps = 3;
  saving.save_total_limit = 1;
  ToyTask task;
  EXPECT_THROW(train(saving, task,
                     {.on_step =
                          [&](const StepReport& report) {
                            if (report.step == 4) task.fail_save = 1;
                          }}),
               IoError);
  EXPECT_EQ(saved_steps(), (std::vector<int64_t>{3}));
}

TEST_F(TrainerTest, ALossThatIsNoNumberNamesTheStep) {
  ToyTask task;
  try {
    train(options(10), task, {.on_step = [&](const StepReport& report) {
            if (report.step == 3) task.scale = std::nan("");
          }});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("step 4"), std::string::npos) << error.what();
  }
  EXPECT_TRUE(torch::isfinite(task.weight).all().item<bool>());
}

TEST_F(TrainerTest, TheBestCheckpointIsTakenAtTheEnd) {
  auto best = options(12);
  best.eval_strategy = best.save_strategy = "steps";
  best.eval_steps = best.save_steps = 4;
  best.load_best_model_at_end = true;
  ToyTask task;
  const TrainResult result = train(best, task, {.on_step = [&](const StepReport& report) {
                                     if (report.step == 9)
                                       task.scale = 100;  // later losses look worse
                                   }});
  EXPECT_EQ(result.state.best_global_step, 8);
  const at::Tensor best_weight =
      task.load_tensors(folder_.path() / "checkpoint-8/adapter_model.safetensors").front().second;
  EXPECT_TRUE(torch::equal(task.weight, best_weight));
}

TEST_F(TrainerTest, TheEvaluationWeightsBatchesByTheirRows) {
  ToyTask task(12, 0);
  auto evaluating = options(1);
  evaluating.per_device_eval_batch_size = 2;
  Trainer trainer(evaluating, {.train = toy_rows(4), .valid = toy_rows(5)}, task);
  EXPECT_NEAR(trainer.evaluate(), std::log(12.0), 1e-5);
  EXPECT_FALSE(task.training()) << "nothing trains";
}

TEST_F(TrainerTest, WrongSettingsAreRefused) {
  ToyTask task;
  auto wrong = options(1);
  wrong.gradient_accumulation_steps = 0;
  EXPECT_THROW(train(wrong, task), ConfigError);
  wrong = options(1);
  wrong.eval_strategy = "always";
  EXPECT_THROW(train(wrong, task), ConfigError);
  wrong = options(1);
  wrong.resume_from_checkpoint = "true";
  EXPECT_THROW(train(wrong, task), NotFoundError);
  EXPECT_THROW(Trainer(options(1), {}, task), ConfigError);
  wrong = options(1);
  wrong.eval_strategy = wrong.save_strategy = "steps";
  wrong.eval_steps = 4;
  wrong.save_steps = 6;
  EXPECT_NO_THROW(wrong.validate());
  wrong.load_best_model_at_end = true;
  EXPECT_THROW(wrong.validate(), ConfigError);
  const Example nothing{.input_ids = {1, 2}, .labels = {1, kIgnoreLabel}};
  EXPECT_THROW(Trainer(options(1), {.train = {nothing, nothing}}, task), ConfigError);
}

TEST_F(TrainerTest, TheStateFileReadsBack) {
  ToyTask task;
  const TrainerState state = train(options(4), task).state;
  const TrainerState again =
      trainer_state_from_json(Json::parse(trainer_state_text(state)), "state");
  EXPECT_EQ(trainer_state_text(again), trainer_state_text(state));
  EXPECT_THROW(trainer_state_from_json(Json::parse("{}"), "state"), FormatError);
}

}  // namespace
}  // namespace peft::train
