// One prompt for several tasks, learnt and used by models with heads: rows name their task.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include "peft/base/file.h"
#include "peft/base/json_text.h"
#include "tests/cli/tiny_reader.h"
#include "tests/cli/tiny_writer.h"

namespace peft::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTwoTasks =
    "--peft_type MULTITASK_PROMPT_TUNING --peft_config "
    "'{\"num_virtual_tokens\": 4, \"num_tasks\": 2, \"num_ranks\": 2}'";

// The same texts in both tasks; what they mean differs.
std::vector<Json> rows_of_two_tasks(const std::vector<Json>& first,
                                    const std::vector<Json>& second) {
  std::vector<Json> rows;
  const auto add = [&](const std::vector<Json>& task, int id) {
    for (const Json& row : task) {
      rows.push_back(row);
      rows.back()["task_id"] = id;
    }
  };
  for (int copy = 0; copy < 4; ++copy) {
    add(first, 0);
    add(second, 1);
  }
  return rows;
}

Json labelled(const std::string& text, const std::string& label) {
  return {{"text", text}, {"label", label}};
}

Json tagged(const std::string& tags) { return {{"tokens", "a b"}, {"tags", tags}}; }

Json asked(const std::string& answer, int start) {
  return {
      {"question", "q"},
      {"context", "a b c"},
      {"answers", Json{{"text", Json::array({answer})}, {"answer_start", Json::array({start})}}}};
}

Json sourced(const std::string& target) { return {{"text", "one two"}, {"target", target}}; }

Json paired(double cosine) { return {{"text", "a"}, {"text_pair", "b"}, {"label", cosine}}; }

TEST(Multitask, SequencesAreLabelledByTheirTask) {
  const auto rows = rows_of_two_tasks({labelled("a b", "early"), labelled("b a", "early")},
                                      {labelled("a b", "short"), labelled("b a", "short")});
  const fs::path file = rows_file("two_tasks.jsonl", rows);
  const fs::path data = scratch() / "two_tasks";
  fs::create_directories(data);
  for (const char* part : {"train.jsonl", "valid.jsonl"}) {
    fs::copy_file(file, data / part, fs::copy_options::overwrite_existing);
  }
  const fs::path out = trained_reader(
      "SEQ_CLS", data, std::string(kTwoTasks) + " --eval_strategy steps --eval_steps 60");
  const std::string state = read_text_file(out / "trainer_state.json");
  EXPECT_NE(state.find("\"eval_accuracy\": 1.0"), std::string::npos) << state;
  const std::string flags = "--adapter " + out.string();
  const auto told = lines_of(run_on_reader("predict", flags + " --input " + file.string()).out);
  ASSERT_EQ(told.size(), rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    EXPECT_TRUE(told[i].starts_with(rows[i]["label"].get<std::string>() + "\t")) << told[i];
  }
  EXPECT_TRUE(
      run_on_reader("predict", flags + " --text 'a b' --task_id 1").out.starts_with("short\t"));
  expect_told(run_on_reader("predict", flags + " --text 'a b'"), 1,
              "--text: task_id: expected a number from 0 to 1");
  expect_told(run_on_reader("predict", flags + " --text 'a b' --task_id 2"), 1, "got 2");
}

TEST(Multitask, WordsAndAnswersDependOnTheirTask) {
  const fs::path tagger = trained_reader(
      "TOKEN_CLS", rows_file("two_tags.jsonl", rows_of_two_tasks({tagged("X O")}, {tagged("O X")})),
      kTwoTasks);
  const auto tags = [&](int task) {
    return run_on_reader("predict", fmt::format("--adapter {} --text 'a b' --task_id {}",
                                                tagger.string(), task))
        .out;
  };
  EXPECT_EQ(tags(0), "a/X b/O\n");
  EXPECT_EQ(tags(1), "a/O b/X\n");
  const fs::path reader = trained_reader(
      "QUESTION_ANS",
      rows_file("two_answers.jsonl", rows_of_two_tasks({asked("a", 0)}, {asked("c", 4)})),
      kTwoTasks, 150);
  const auto answer = [&](int task) {
    return run_on_reader("predict",
                         fmt::format("--adapter {} --text q --text_pair 'a b c' --task_id {}",
                                     reader.string(), task))
        .out;
  };
  EXPECT_EQ(answer(0), "a\n");
  EXPECT_EQ(answer(1), "c\n");
}

// A prompt for the decoder too would be there in training alone, as in Python.
TEST(Multitask, TargetsDependOnTheirTask) {
  const fs::path file =
      rows_file("two_targets.jsonl", rows_of_two_tasks({sourced("three")}, {sourced("four")}));
  const fs::path out =
      trained_writer(file,
                     "--peft_type MULTITASK_PROMPT_TUNING --peft_config "
                     "'{\"num_virtual_tokens\": 4, \"num_tasks\": 2, \"num_ranks\": 2, "
                     "\"num_transformer_submodules\": 1, \"modules_to_save\": [\"lm_head\"]}'");
  EXPECT_EQ(lines_of(run_on_writer("predict", fmt::format("--adapter {} --input {}", out.string(),
                                                          file.string()))
                         .out),
            lines_of("three\nfour\nthree\nfour\nthree\nfour\nthree\nfour\n"));
  const auto written = [&](const std::string& flags) {
    return run_on_writer("generate",
                         fmt::format("--adapter {} --prompt 'one two' {}", out.string(), flags));
  };
  EXPECT_EQ(written("--task_id 0").out, "three\n");
  EXPECT_EQ(written("--task_id 1").out, "four\n");
  expect_told(written(""), 1, "--task_id: task_id: expected a number from 0 to 1");
  expect_told(written("--task_id 2"), 1, "got 2");
}

TEST(Multitask, VectorsDependOnTheirTask) {
  const auto rows = rows_of_two_tasks({paired(1.0)}, {paired(-1.0)});
  const fs::path out =
      trained_reader("FEATURE_EXTRACTION", rows_file("two_vectors.jsonl", rows), kTwoTasks);
  const std::string flags = "--adapter " + out.string();
  const auto vector = [&](int task) {
    return run_on_reader("embed", fmt::format("{} --text a --task_id {}", flags, task)).out;
  };
  EXPECT_NE(vector(0), vector(1));
  const Json first = {{"text", "a"}, {"task_id", 0}}, second = {{"text", "a"}, {"task_id", 1}};
  const fs::path texts = rows_file("texts.jsonl", {second, first});
  EXPECT_EQ(run_on_reader("embed", flags + " --batch_size 1 --input " + texts.string()).out,
            vector(1) + vector(0));
  expect_told(run_on_reader("embed", flags + " --text a"), 1, "--text: task_id");
}

TEST(Multitask, AWrongTaskOfARowIsToldWithItsLine) {
  const auto train = [](const std::string& name, const std::vector<Json>& rows,
                        const std::string& more) {
    return run_on_reader(
        "train", fmt::format("--dataset_name {} --output_dir {} --task_type SEQ_CLS {}",
                             rows_file(name, rows).string(), (scratch() / "bad").string(), more));
  };
  const Json good = {{"text", "a"}, {"label", "x"}, {"task_id", 0}};
  Json far = good, none = good, word = good;
  far["task_id"] = 7;
  none.erase("task_id");
  word["task_id"] = "first";
  expect_told(train("far.jsonl", {good, far}, kTwoTasks), 1,
              "far.jsonl:2: task_id: expected a number from 0 to 1, as the adapter tells 2 tasks "
              "apart, got 7");
  expect_told(train("none.jsonl", {good, none}, kTwoTasks), 1, "none.jsonl:2: task_id");
  expect_told(train("word.jsonl", {word}, kTwoTasks), 1, "word.jsonl:1: field 'task_id'");
  // The flag is for adapters that can use it, and rows may then leave it out.
  expect_told(train("lora.jsonl", {good, none}, "--task_id 1"), 1,
              "--task_id: expected an adapter");
  const ProgramRun done =
      train("flag.jsonl", {good, none}, std::string(kTwoTasks) + " --task_id 1 --max_steps 1");
  EXPECT_EQ(done.code, 0) << done.talk;
}

}  // namespace
}  // namespace peft::cli
