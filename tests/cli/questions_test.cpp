// Questions over contexts that are longer than the model: windows, and the answers in them.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include "peft/base/file.h"
#include "peft/base/json_text.h"
#include "tests/cli/tiny_reader.h"

namespace peft::cli {
namespace {

namespace fs = std::filesystem;

// 60 letters with a blank between each, an x in the place of one of them: the model has room for
// 40 tokens.
Json row_with_answer(size_t place) {
  std::string context;
  for (size_t i = 0; i < 60; ++i) {
    if (i > 0) context += ' ';
    context += i == place ? 'x' : static_cast<char>('a' + (i * 7 + place) % 20);
  }
  return {{"question", "q"},
          {"context", context},
          {"answers",
           Json{{"text", Json::array({"x"})}, {"answer_start", Json::array({context.find('x')})}}}};
}

const fs::path& questions() {
  static const fs::path folder = [] {
    std::vector<Json> rows;
    for (const size_t place : std::vector<size_t>{3, 17, 26, 31, 39, 48, 57, 59})
      rows.push_back(row_with_answer(place));
    const fs::path data = scratch() / "questions";
    fs::create_directories(data);
    for (const char* part : {"train.jsonl", "valid.jsonl"}) {
      fs::copy_file(rows_file("long.jsonl", rows), data / part);
    }
    return data;
  }();
  return folder;
}

const fs::path& trained_on_questions() {
  static const fs::path folder =
      trained_reader("QUESTION_ANS", questions(),
                     "--lora_target_modules all-linear --eval_strategy steps --eval_steps 60");
  return folder;
}

Json answered(const std::string& flags) {
  const ProgramRun done = run_on_reader(
      "predict", fmt::format("--adapter {} --json {}", trained_on_questions().string(), flags));
  EXPECT_EQ(done.code, 0) << done.talk;
  return done.code == 0 ? Json::parse(lines_of(done.out).front()) : Json::object();
}

TEST(Questions, AnswersBehindTheFirstWindowAreLearntAndFound) {
  const std::string state = read_text_file(trained_on_questions() / "trainer_state.json");
  EXPECT_NE(state.find("\"eval_exact_match\": 1.0"), std::string::npos) << state;
  for (const size_t place : std::vector<size_t>{5, 28, 50}) {  // not seen in training
    const Json row = row_with_answer(place);
    const std::string file = rows_file("one.jsonl", {row}).string();
    for (const char* flags : {"", "--max_length 20 --doc_stride 4 --batch_size 2"}) {
      const Json answer = answered(fmt::format("--input {} {}", file, flags));
      EXPECT_EQ(answer["answer"], "x") << answer;
      EXPECT_EQ(answer["start"], row["answers"]["answer_start"][0]);
      EXPECT_EQ(answer["end"], row["answers"]["answer_start"][0].get<int64_t>() + 1);
    }
  }
}

TEST(Questions, PlacesAreCountedInCharacters) {
  const Json answer = answered("--text q --text_pair '\u00e9 \u4e2d x a'");
  EXPECT_EQ(answer["answer"], "x");
  EXPECT_EQ(answer["start"], 4);
  EXPECT_EQ(answer["end"], 5);
}

TEST(Questions, TheBestAnswersComeInOrderAndKeepToTheirLength) {
  const Json best = answered(
      "--text q --text_pair 'a x b c d e' --n_best_size 4 --max_answer_length 2")["n_best"];
  ASSERT_EQ(best.size(), 4u);
  for (size_t i = 0; i < best.size(); ++i) {
    EXPECT_LE(best[i]["answer"].get<std::string>().size(), 3u);  // two letters and a blank
    if (i > 0) {
      EXPECT_LE(best[i]["score"], best[i - 1]["score"]);
    }
  }
}

TEST(Questions, AContextMayHaveNoAnswer) {
  EXPECT_EQ(answered("--text q --text_pair 'a b c d' --version_2_with_negative")["answer"], "");
  EXPECT_NE(answered("--text q --text_pair 'a b c d'")["answer"], "");
  EXPECT_EQ(answered("--text q --text_pair 'a b x d' --version_2_with_negative")["answer"], "x");
}

TEST(Questions, WindowsWithoutRoomAreErrors) {
  const std::string flags =
      "--adapter " + trained_on_questions().string() + " --text q --text_pair ";
  expect_told(run_on_reader("predict", flags + "a --max_length 20 --doc_stride 20"), 2,
              "--doc_stride: expected less than --max_length 20");
  expect_told(run_on_reader("predict", flags + "a --doc_stride -1"), 2, "--doc_stride");
  expect_told(
      run_on_reader("predict", flags + "'a b c d e f g h i j' --max_length 10 --doc_stride 8"), 1,
      "expected less than 6");
}

}  // namespace
}  // namespace peft::cli
