// train, predict and embed for models with heads, on a tiny BERT whose tokens are letters.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <cmath>

#include "peft/base/file.h"
#include "peft/base/json_text.h"
#include "peft/base/text.h"
#include "tests/cli/run_program.h"

namespace peft::cli {
namespace {

namespace fs = std::filesystem;

fs::path tiny_reader() {
  const fs::path folder = scratch() / "tiny_reader";
  if (fs::exists(folder)) return folder;
  const fs::path base = fs::path(PEFT_SOURCE_DIR) / "tests/cli/tiny_bert";
  fs::create_directories(folder);
  for (const char* name : {"config.json", "model.safetensors"}) {
    fs::copy_file(base / name, folder / name);
  }
  std::string vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";
  for (char letter = 'a'; letter <= 'z'; ++letter) vocabulary += fmt::format("{}\n", letter);
  for (char letter = 'a'; letter <= 'z'; ++letter) vocabulary += fmt::format("##{}\n", letter);
  write_file_atomically(folder / "vocab.txt", vocabulary);
  return folder;
}

fs::path rows_file(const std::string& name, const std::vector<Json>& rows) {
  std::string text;
  for (const Json& row : rows) text += row.dump() + "\n";
  write_file_atomically(scratch() / name, text);
  return scratch() / name;
}

ProgramRun run_on_reader(const std::string& command, const std::string& flags) {
  return run_peft(
      fmt::format("{} --model_name_or_path {} {}", command, tiny_reader().string(), flags));
}

fs::path trained(const std::string& task, const fs::path& rows, const std::string& more = "") {
  const fs::path out = scratch() / ("out_" + task);
  const ProgramRun done = run_on_reader(
      "train", fmt::format("--task_type {} --dataset_name {} --output_dir {} --max_steps 60 "
                           "--learning_rate 2e-2 --lora_dropout 0 --lora_target_modules all-linear "
                           "--save_strategy no --logging_steps 20 {}",
                           task, rows.string(), out.string(), more));
  EXPECT_EQ(done.code, 0) << done.talk;
  return out;
}

std::vector<std::string> lines(const std::string& text) {
  auto parts = split(text, '\n');
  if (!parts.empty() && parts.back().empty()) parts.pop_back();
  return parts;
}

TEST(TaskCommands, SequencesAreLearntAndPredicted) {
  std::vector<Json> rows;
  for (const char* text : {"a b", "b a a", "a a", "b b a"}) {
    rows.push_back({{"text", text}, {"label", "early"}});
  }
  for (const char* text : {"y z", "z z y", "y y", "z y z"}) {
    rows.push_back({{"text", text}, {"label", "late"}});
  }
  const fs::path file = rows_file("sequences.jsonl", rows);
  const fs::path out = trained("SEQ_CLS", file);
  EXPECT_EQ(read_json_file(out / "labels.json")["id2label"], (Json{{"0", "early"}, {"1", "late"}}));
  const std::string flags = "--adapter " + out.string();
  const auto told = lines(run_on_reader("predict", flags + " --input " + file.string()).out);
  ASSERT_EQ(told.size(), rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    EXPECT_TRUE(told[i].starts_with(rows[i]["label"].get<std::string>() + "\t")) << told[i];
  }
  const ProgramRun one = run_on_reader("predict", flags + " --text 'a b' --json");
  const Json facts = Json::parse(one.out);
  EXPECT_EQ(facts["label"], "early");
  EXPECT_NEAR(facts["scores"]["early"].get<double>() + facts["scores"]["late"].get<double>(), 1.0,
              1e-5);
  fs::remove(out / "labels.json");
  EXPECT_EQ(Json::parse(run_on_reader("predict", flags + " --text 'a b' --json").out)["label"],
            "LABEL_0");
}

TEST(TaskCommands, WordsAreLearntAndPredicted) {
  std::vector<Json> rows;
  for (int i = 0; i < 4; ++i) {
    rows.push_back({{"tokens", {"a", "xy", "b"}}, {"tags", {"O", "B-X", "O"}}});
    rows.push_back({{"tokens", {"xx", "c"}}, {"tags", {"B-X", "O"}}});
  }
  const fs::path out = trained("TOKEN_CLS", rows_file("words.jsonl", rows));
  EXPECT_EQ(run_on_reader("predict", "--adapter " + out.string() + " --text 'b xy'").out,
            "b/O xy/B-X\n");
}

TEST(TaskCommands, AnswersAreLearntAndPredicted) {
  std::vector<Json> rows;
  for (const char* context : {"a b x c", "x a c b", "c x b a", "a c b x"}) {
    const std::string text = context;
    rows.push_back({{"question", "q"},
                    {"context", text},
                    {"answers", {{"text", {"x"}}, {"answer_start", {text.find('x')}}}}});
  }
  const fs::path file = rows_file("answers.jsonl", rows);
  const fs::path out = trained("QUESTION_ANS", file);
  EXPECT_EQ(
      run_on_reader("predict", "--adapter " + out.string() + " --text q --text_pair 'b c x a'").out,
      "x\n");
}

TEST(TaskCommands, PairsOfTextsComeTogether) {
  std::vector<Json> rows;
  for (const char* letter : {"a", "f", "m", "z"}) {
    rows.push_back({{"text", letter}, {"text_pair", fmt::format("{0} {0}", letter)}});
  }
  const fs::path out = trained("FEATURE_EXTRACTION", rows_file("pairs.jsonl", rows));
  const ProgramRun done =
      run_on_reader("embed", "--adapter " + out.string() + " --normalize true --text a 'a a' z");
  const auto vectors = lines(done.out);
  ASSERT_EQ(vectors.size(), 3u) << done.talk;
  const auto cosine = [&](size_t i, size_t j) {
    const Json a = Json::parse(vectors[i]), b = Json::parse(vectors[j]);
    double sum = 0;
    for (size_t k = 0; k < a.size(); ++k) sum += a[k].get<double>() * b[k].get<double>();
    return sum;
  };
  EXPECT_NEAR(cosine(0, 0), 1.0, 1e-5);
  EXPECT_GT(cosine(0, 1), cosine(0, 2) + 0.1);
}

TEST(TaskCommands, AnEvaluationHasTheFiguresOfItsTask) {
  const fs::path data = scratch() / "data";
  fs::create_directories(data);
  write_file_atomically(data / "train.csv", "text,label\na b,x\nb a,x\ny z,w\nz y,w\n");
  write_file_atomically(data / "valid.csv", "text,label\nb a,x\nz y,w\n");
  const fs::path out = trained("SEQ_CLS", data, "--eval_strategy steps --eval_steps 60");
  const Json history = read_json_file(out / "trainer_state.json")["log_history"];
  bool seen = false;
  for (const Json& entry : history) {
    if (!entry.contains("eval_loss")) continue;
    seen = true;
    EXPECT_EQ(entry["eval_accuracy"], 1.0) << entry;
    EXPECT_EQ(entry["eval_f1"], 1.0) << entry;
  }
  EXPECT_TRUE(seen);
}

TEST(TaskCommands, WrongCommandLinesSaySo) {
  const auto expect = [](const ProgramRun& done, int code, const std::string& text) {
    EXPECT_EQ(done.code, code) << done.talk;
    EXPECT_NE(done.talk.find(text), std::string::npos) << done.talk;
  };
  expect(run_on_reader("train", "--dataset_name x --output_dir y --task_type SORTING"), 2,
         "SEQ_CLS");
  expect(run_on_reader("predict", "--text a"), 2, "--adapter");
  expect(run_on_reader("predict", "--adapter x --text a --task_type FEATURE_EXTRACTION"), 2,
         "peft embed");
  expect(run_on_reader("embed", "--text a --pooling most"), 2, "--pooling");
  expect(run_on_reader("embed", ""), 2, "--input");
  const fs::path rows = rows_file("bad.jsonl", {{{"text", "a"}, {"label", "x"}}, {{"text", "b"}}});
  expect(run_on_reader("train", fmt::format("--dataset_name {} --output_dir {} --task_type SEQ_CLS",
                                            rows.string(), (scratch() / "bad").string())),
         1, "bad.jsonl:2: column 'label'");
}

}  // namespace
}  // namespace peft::cli
