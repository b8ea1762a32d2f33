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

const char* const kCommands[] = {"train",    "generate", "score",     "merge",
                                 "tokenize", "info",     "quickstart"};

TEST(Program, HelpAndVersionGoToStdout) {
  const ProgramRun help = run_peft("help");
  EXPECT_EQ(help.code, 0);
  for (const char* name : kCommands) {
    EXPECT_NE(help.out.find(name), std::string::npos) << name;
    const ProgramRun own = run_peft(fmt::format("{} --help", name));
    EXPECT_EQ(own.code, 0);
    EXPECT_EQ(own.out.find("usage: peft"), 0) << name;
  }
  EXPECT_TRUE(run_peft("--version").out.starts_with("peft "));
}

TEST(Program, TheCommandLinePageIsUpToDate) {
  EXPECT_EQ(run_peft("help --markdown").out, read_text_file(PEFT_SOURCE_DIR "/docs/cli.md"))
      << "run: peft help --markdown > docs/cli.md";
}

TEST(Program, TheMethodsPageIsWhatTheProgramPrints) {
  EXPECT_EQ(run_peft("methods --markdown").out, read_text_file(PEFT_SOURCE_DIR "/docs/methods.md"))
      << "run: peft methods --markdown > docs/methods.md";
}

TEST(Program, WrongUsageEndsWithTwo) {
  for (const char* line :
       {"", "trian", "train", "train --learning_rat 1", "generate --model_name_or_path m",
        "score --model_name_or_path m --input f --dtype int8", "info"}) {
    const ProgramRun run = run_peft(line);
    EXPECT_EQ(run.code, 2) << line << ": " << run.talk;
    EXPECT_TRUE(run.out.empty()) << line;
    EXPECT_NE(run.talk.find("peft: "), std::string::npos) << line;
  }
}

TEST(Program, RunTimeErrorsEndWithOne) {
  const ProgramRun run = run_peft("info /nowhere");
  EXPECT_EQ(run.code, 1);
  EXPECT_NE(run.talk.find("/nowhere"), std::string::npos);
  EXPECT_EQ(run_peft("info " + tiny_model().string() + " > /dev/full").code, 1);
}

TEST(Program, InfoReadsHeaders) {
  const Json facts = Json::parse(run_peft("info --json --modules " + tiny_model().string()).out);
  EXPECT_EQ(facts["kind"], "checkpoint");
  EXPECT_EQ(facts["modules"].size(), 15);  // 7 in each of 2 layers, and the head
  EXPECT_EQ(facts["dtypes"]["F32"], facts["parameters"]);
}

TEST(Program, ATrainedAdapterIsScoredMergedAndGoneOnWith) {
  const ProgramRun run =
      run_peft(train_line("adapter", "--max_steps 12 --json --save_strategy no"));
  ASSERT_EQ(run.code, 0) << run.talk;
  const auto lines = split(std::string(trim(run.out)), '\n');
  ASSERT_EQ(lines.size(), 13);
  EXPECT_LT(Json::parse(lines[11])["loss"].get<double>(),
            Json::parse(lines[0])["loss"].get<double>());
  const fs::path out = scratch() / "adapter";
  for (const char* name :
       {"adapter_config.json", "adapter_model.safetensors", "trainer_state.json", "loss.svg"}) {
    EXPECT_TRUE(fs::exists(out / name)) << name;
  }
  EXPECT_EQ(read_json_file(out / "trainer_state.json")["global_step"], 12);

  const std::string rows = token_rows("score.jsonl", 5).string();
  const std::string base =
      fmt::format("score --model_name_or_path {} --input {}", tiny_model().string(), rows);
  const ProgramRun plain = run_peft(base);
  const ProgramRun adapted = run_peft(base + " --adapter " + out.string());
  ASSERT_EQ(adapted.code, 0) << adapted.talk;
  EXPECT_NE(plain.out, adapted.out);

  const fs::path merged = scratch() / "merged";
  const ProgramRun merge =
      run_peft(fmt::format("merge --model_name_or_path {} --adapter {} --output_dir {}",
                           tiny_model().string(), out.string(), merged.string()));
  ASSERT_EQ(merge.code, 0) << merge.talk;
  const ProgramRun again =
      run_peft(fmt::format("score --model_name_or_path {} --input {}", merged.string(), rows));
  const auto expected = split(adapted.out, '\n'), got = split(again.out, '\n');
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i + 1 < got.size(); ++i) {
    EXPECT_NEAR(Json::parse(got[i])["loss"].get<double>(),
                Json::parse(expected[i])["loss"].get<double>(), 1e-5);
  }
  EXPECT_EQ(
      run_peft(train_line("further", "--max_steps 2 --save_strategy no --adapter " + out.string()))
          .code,
      0);
}

TEST(Program, ScoresAreLogProbabilitiesWithNineDigits) {
  const ProgramRun run =
      run_peft(fmt::format("score --model_name_or_path {} --input {}", tiny_model().string(),
                           token_rows("nine.jsonl", 3).string()));
  ASSERT_EQ(run.code, 0) << run.talk;
  for (const std::string& line : split(std::string(trim(run.out)), '\n')) {
    const Json row = Json::parse(line);
    double sum = 0;
    for (const Json& value : row["logprobs"]) sum -= value.get<double>();
    EXPECT_EQ(row["num_tokens"].get<size_t>(), row["logprobs"].size());
    EXPECT_NEAR(row["loss"].get<double>(), sum / row["num_tokens"].get<double>(), 1e-6);
  }
  EXPECT_NE(run.talk.find("perplexity"), std::string::npos);
}

TEST(Program, AnErrorInTheDataNamesFileAndLine) {
  const fs::path file = scratch() / "broken.jsonl";
  write_file_atomically(file, "{\"input_ids\": [1, 2]}\n{\"input_ids\": 3}\n");
  const ProgramRun run = run_peft(fmt::format("score --model_name_or_path {} --input {}",
                                              tiny_model().string(), file.string()));
  EXPECT_EQ(run.code, 1);
  EXPECT_NE(run.talk.find("broken.jsonl:2"), std::string::npos) << run.talk;
}

}  // namespace
}  // namespace peft::cli
