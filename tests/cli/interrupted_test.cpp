// Runs of real processes that do not end by themselves: killed, stopped, out of space, out of
// numbers.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "peft/base/file.h"
#include "peft/base/json_text.h"
#include "tests/cli/run_program.h"

namespace peft::cli {
namespace {

namespace fs = std::filesystem;

// Dropout makes the random numbers part of what a checkpoint has to keep.
const std::string kRun = "--max_steps 40 --lora_dropout 0.1 --save_steps ";
// Between the size of adapter_model.safetensors and that of optimizer.safetensors: a run under this
// limit is caught in the middle of writing its next checkpoint. 512 bytes each.
const std::string kSmallFiles = "ulimit -c 0; ulimit -f 32;";

/// A shell's line behind a command: sends the signals, one after the other, once `path` is there.
std::string signalled(const fs::path& path, const std::vector<std::string>& signals,
                      const std::string& pause = "0") {
  std::string line =
      fmt::format("& pid=$!; while [ ! -e {} ] && kill -0 $pid; do sleep 0.01; done; sleep {}; ",
                  path.string(), pause);
  for (const auto& signal : signals) line += fmt::format("kill -{} $pid; sleep 0.3; ", signal);
  return line + "wait $pid";
}

std::string final_bytes(const std::string& out) {
  return read_text_file(scratch() / out / "adapter_model.safetensors");
}

/// What the run ends with that nothing interrupts.
const std::string& straight_bytes() {
  static const std::string bytes = [] {
    const ProgramRun run = run_peft(train_line("straight", kRun + "10"));
    EXPECT_EQ(run.code, 0) << run.talk;
    return final_bytes("straight");
  }();
  return bytes;
}

/// Names in a run's folder that begin so.
int64_t count_of(const std::string& out, const std::string& beginning) {
  int64_t count = 0;
  for (const auto& entry : fs::directory_iterator(scratch() / out)) {
    count += entry.path().filename().string().starts_with(beginning) ? 1 : 0;
  }
  return count;
}

/// A run that was killed as soon as its checkpoint of step 10 was there.
void make_killed_run(const std::string& out) {
  const ProgramRun run = run_peft(
      train_line(out, kRun + "10 " + signalled(scratch() / out / "checkpoint-10", {"KILL"})));
  ASSERT_EQ(run.code, 137) << run.talk;
  ASSERT_TRUE(fs::exists(scratch() / out / "checkpoint-10/trainer_state.json"));
  // Only the first one shall be there, however long the signal took.
  for (const int step : {20, 30, 40}) {
    fs::remove_all(scratch() / out / fmt::format("checkpoint-{}", step));
  }
}

void expect_resumes_to_the_same_bytes(const std::string& out) {
  const ProgramRun run = run_peft(train_line(out, kRun + "10 --resume_from_checkpoint true"));
  ASSERT_EQ(run.code, 0) << run.talk;
  EXPECT_NE(run.talk.find("resumed after step"), std::string::npos) << run.talk;
  EXPECT_EQ(final_bytes(out), straight_bytes());
  EXPECT_EQ(count_of(out, "."), 0) << "half-written files are left";
}

TEST(Interrupted, AKilledRunGoesOnToTheSameBytes) {
  make_killed_run("killed");
  expect_resumes_to_the_same_bytes("killed");
}

TEST(Interrupted, ARunThatIsKilledWhileItWritesACheckpointGoesOnToTheSameBytes) {
  make_killed_run("writing");
  const ProgramRun run =
      run_peft(train_line("writing", kRun + "10 --resume_from_checkpoint true"), kSmallFiles);
  ASSERT_EQ(run.code, 128 + 25) << "SIGXFSZ was expected: " << run.talk;
  ASSERT_EQ(count_of("writing", ".checkpoint-20.tmp-"), 1) << "it was not killed while writing";
  ASSERT_EQ(count_of("writing", "checkpoint-"), 1);
  expect_resumes_to_the_same_bytes("writing");
}

TEST(Interrupted, ARunThatIsKilledAgainAndAgainGoesOnToTheSameBytes) {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  ASSERT_EQ(run_peft(train_line("all", kRun + "4")).code, 0);
  const double whole = std::chrono::duration<double>(Clock::now() - begin).count();
  // The first kill waits for a checkpoint, so that there is one to go on from.
  ASSERT_EQ(run_peft(train_line("again", kRun + "4 " +
                                             signalled(scratch() / "again/checkpoint-4", {"KILL"})))
                .code,
            137);
  // Then moments that fall into every part of a run: loading, training, writing.
  for (const double share : {0.3, 0.5, 0.6, 0.7, 0.8}) {
    const ProgramRun run =
        run_peft(train_line("again", kRun + "4 --resume_from_checkpoint true"),
                 fmt::format("timeout -s KILL {:.3f}", std::max(0.05, share * whole)));
    ASSERT_TRUE(run.code == 137 || run.code == 0) << run.talk;
  }
  ASSERT_EQ(run_peft(train_line("again", kRun + "4 --resume_from_checkpoint true")).code, 0);
  EXPECT_EQ(final_bytes("again"), straight_bytes());
}

TEST(Interrupted, SignalsSaveAndEndWithTheirNumber) {
  for (const auto& [signal, code] : {std::pair{"INT", 130}, std::pair{"TERM", 143}}) {
    const std::string out = fmt::format("stopped{}", signal);
    const ProgramRun run = run_peft(
        train_line(out, kRun + "5 " + signalled(scratch() / out / "checkpoint-5", {signal})));
    ASSERT_EQ(run.code, code) << run.talk;
    EXPECT_NE(run.talk.find("stopped after step"), std::string::npos) << run.talk;
    EXPECT_TRUE(fs::exists(scratch() / out / "adapter_model.safetensors"));
    const Json state = read_json_file(scratch() / out / "trainer_state.json");
    EXPECT_TRUE(fs::exists(
        scratch() / out /
        fmt::format("checkpoint-{}/optimizer.safetensors", state["global_step"].get<int64_t>())));
    expect_resumes_to_the_same_bytes(out);
  }
}

TEST(Interrupted, WithoutCheckpointsASignalStillSavesTheAdapter) {
  const ProgramRun run =
      run_peft(train_line("unsaved", "--max_steps 1000000 --save_strategy no " +
                                         signalled(scratch() / "unsaved", {"INT"}, "0.5")));
  EXPECT_EQ(run.code, 130) << run.talk;
  EXPECT_TRUE(fs::exists(scratch() / "unsaved/adapter_model.safetensors"));
  EXPECT_EQ(count_of("unsaved", "checkpoint-"), 0);
  EXPECT_EQ(run.talk.find("--resume_from_checkpoint"), std::string::npos) << run.talk;
}

TEST(Interrupted, ASecondSignalEndsTheRunAtOnce) {
  // One optimiser step of 20,000 batches: it takes far longer than the signals.
  const std::string out = (scratch() / "long_step").string();
  const ProgramRun run = run_peft(
      fmt::format("train --model_name_or_path {} --dataset_name {} --output_dir {} --max_steps 1 "
                  "--per_device_train_batch_size 1 --gradient_accumulation_steps 20000 {}",
                  tiny_model().string(), token_rows("many.jsonl", 20000).string(), out,
                  signalled(out, {"INT", "INT"}, "0.3")));
  EXPECT_EQ(run.code, 130);
  EXPECT_NE(run.talk.find("stopping after this step"), std::string::npos) << run.talk;
  EXPECT_FALSE(fs::exists(out + "/adapter_model.safetensors"));
}

TEST(Interrupted, ADiskWithoutSpaceLosesNoEarlierCheckpoint) {
  make_killed_run("full");
  const ProgramRun run =
      run_peft(train_line("full", kRun + "10 --save_total_limit 1 --resume_from_checkpoint true"),
               kSmallFiles + " trap '' XFSZ;");
  EXPECT_EQ(run.code, 1) << run.talk;
  EXPECT_NE(run.talk.find("optimizer.safetensors: writing failed: File too large"),
            std::string::npos)
      << run.talk;
  EXPECT_EQ(count_of("full", "checkpoint-"), 1);
  EXPECT_EQ(count_of("full", "."), 0);
  expect_resumes_to_the_same_bytes("full");
}

TEST(Interrupted, ALossThatIsNoNumberStopsTheRunAndNamesTheStep) {
  const ProgramRun run = run_peft(train_line("nan",
                                             "--max_steps 9 --save_steps 1 --max_grad_norm 0 "
                                             "--lr_scheduler_type constant") +
                                  " --weight_decay 1e38");
  EXPECT_EQ(run.code, 1) << run.talk;
  EXPECT_NE(run.talk.find("training: step 2: the loss is not finite"), std::string::npos)
      << run.talk;
  EXPECT_EQ(count_of("nan", "checkpoint-"), 1) << "the one before the step stays";
}

}  // namespace
}  // namespace peft::cli
