// Commands on a model with several adapters: score, generate, info and combine.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include "peft/base/file.h"
#include "peft/base/json_text.h"
#include "peft/base/text.h"
#include "peft/formats/safetensors_file.h"
#include "peft/formats/torch_checkpoint_file.h"
#include "tests/cli/run_program.h"

namespace peft::cli {
namespace {

namespace fs = std::filesystem;

/// Two adapters that were trained a few steps, made once.
const std::vector<fs::path>& two_adapters() {
  static const std::vector<fs::path> folders = [] {
    std::vector<fs::path> made;
    for (const char* name : {"one", "two"}) {
      const ProgramRun done = run_peft(train_line(
          name, std::string("--max_steps 4 --seed ") + (name == std::string("one") ? "1" : "2")));
      EXPECT_EQ(done.code, 0) << done.talk;
      made.push_back(scratch() / name);
    }
    return made;
  }();
  return folders;
}

std::string with_both() {
  return fmt::format("--model_name_or_path {} --adapter one={} --adapter two={} ",
                     tiny_model().string(), two_adapters()[0].string(), two_adapters()[1].string());
}

std::vector<Json> lines(const std::string& text) {
  std::vector<Json> found;
  for (const std::string& line : split(text, '\n')) {
    if (!line.empty()) found.push_back(Json::parse(line));
  }
  return found;
}

std::vector<Json> scored(const std::string& rows, const std::string& model) {
  write_file_atomically(scratch() / "named_rows.jsonl", rows);
  const ProgramRun done =
      run_peft("score " + model + " --input " + (scratch() / "named_rows.jsonl").string());
  EXPECT_EQ(done.code, 0) << done.talk;
  return lines(done.out);
}

std::string row(const std::string& more) {
  return "{\"input_ids\": [1, 5, 9, 3, 7]" + more + "}\n";
}

TEST(SeveralAdapters, ScoreTakesTheAdapterThatARowNames) {
  const auto mixed =
      scored(row(", \"adapter_name\": \"two\"") + row("") +
                 row(", \"adapter_name\": \"__base__\"") + row(", \"adapter_name\": \"one\""),
             with_both());
  ASSERT_EQ(mixed.size(), 4u);
  const std::string base = "--model_name_or_path " + tiny_model().string();
  const auto alone = [&](size_t i) {
    return scored(row(""), base + " --adapter " + two_adapters()[i].string())
        .at(0)["loss"]
        .get<double>();
  };
  EXPECT_NEAR(mixed[0]["loss"].get<double>(), alone(1), 1e-5);
  EXPECT_NEAR(mixed[1]["loss"].get<double>(), alone(0), 1e-5);
  EXPECT_NEAR(mixed[2]["loss"].get<double>(), scored(row(""), base).at(0)["loss"].get<double>(),
              1e-5);
  EXPECT_EQ(mixed[3]["loss"], mixed[1]["loss"]);
  EXPECT_NE(mixed[0]["loss"], mixed[1]["loss"]);
}

TEST(SeveralAdapters, WrongNamesAreToldBeforeAnythingRuns) {
  write_file_atomically(scratch() / "wrong.jsonl", row("") + row(", \"adapter_name\": \"three\""));
  const ProgramRun unknown =
      run_peft("score " + with_both() + "--input " + (scratch() / "wrong.jsonl").string());
  EXPECT_EQ(unknown.code, 1);
  EXPECT_NE(unknown.talk.find("wrong.jsonl:2: adapter_name"), std::string::npos) << unknown.talk;
  EXPECT_EQ(unknown.out, "");
  const std::string folder = two_adapters()[0].string();
  const std::string start = "score --input x.jsonl --model_name_or_path " + tiny_model().string();
  EXPECT_EQ(run_peft(start + " --adapter " + folder + " --adapter " + folder).code, 2);
  EXPECT_EQ(run_peft(start + " --adapter __base__=" + folder).code, 2);
  EXPECT_EQ(run_peft("generate " + with_both() + "--prompt a --adapter_name three").code, 2);
}

TEST(SeveralAdapters, InfoTellsTheStatus) {
  const ProgramRun done = run_peft("info --json " + with_both());
  ASSERT_EQ(done.code, 0) << done.talk;
  const Json status = Json::parse(done.out);
  EXPECT_EQ(status["model_status"]["available_adapters"], Json::array({"one", "two"}));
  EXPECT_EQ(status["model_status"]["active_adapters"], Json::array({"one"}));
  EXPECT_EQ(status["model_status"]["num_adapter_layers"], status["layer_status"].size());
  const ProgramRun table = run_peft("info " + with_both());
  EXPECT_NE(table.out.find("LoraModel"), std::string::npos) << table.out;
  EXPECT_EQ(run_peft("info").code, 2);
  EXPECT_EQ(run_peft("info --model_name_or_path " + tiny_model().string()).code, 2);
}

TEST(SeveralAdapters, InfoReadsPickledWeights) {
  const fs::path safe = two_adapters()[0], pickled = scratch() / "pickled";
  fs::create_directories(pickled);
  fs::copy_file(safe / "adapter_config.json", pickled / "adapter_config.json");
  formats::write_torch_file(
      pickled / "adapter_model.bin",
      formats::SafetensorsFile(safe / "adapter_model.safetensors").load_all());
  Json expected = Json::parse(run_peft("info --json --modules " + safe.string()).out);
  Json facts = Json::parse(run_peft("info --json --modules " + pickled.string()).out);
  for (Json* one : {&expected, &facts}) one->erase("path");
  EXPECT_EQ(facts, expected);
}

TEST(SeveralAdapters, CombineWritesAnAdapter) {
  const std::string out = (scratch() / "combined").string();
  const std::string line = "combine " + with_both() + "--combination_type cat --output_dir " + out;
  EXPECT_EQ(run_peft(line + " --weights 1").code, 2);
  EXPECT_EQ(run_peft(line + " --weights 1 much").code, 2);
  const ProgramRun done = run_peft(line + " --weights 1.0 0.0");
  ASSERT_EQ(done.code, 0) << done.talk;
  const std::string base = "--model_name_or_path " + tiny_model().string();
  const double combined = scored(row(""), base + " --adapter " + out).at(0)["loss"].get<double>();
  const double first = scored(row(""), base + " --adapter " + two_adapters()[0].string())
                           .at(0)["loss"]
                           .get<double>();
  EXPECT_NEAR(combined, first, 1e-5);
  EXPECT_EQ(run_peft(line + " --weights 1 1").code, 1);  // it would write over an adapter
}

TEST(SeveralAdapters, ConvertMakesAPlainAdapterOfARank) {
  const std::string out = (scratch() / "converted").string();
  const std::string model = "--model_name_or_path " + tiny_model().string();
  const std::string given = two_adapters()[0].string();
  const std::string line = "convert --adapter " + given + " --output_dir " + out;
  for (const char* wrong :
       {"", " --to lora", " --to other --rank 2", " --rank 2", " --to lora --rank 0",
        " --to lora --rank 1.5", " --to lora --rank x"}) {
    EXPECT_EQ(run_peft(line + " " + model + wrong).code, 2) << wrong;
  }
  EXPECT_EQ(run_peft(line + " --to lora --rank 4").code, 2);  // whose weights?
  const ProgramRun done = run_peft(line + " " + model + " --to lora --rank 4");
  ASSERT_EQ(done.code, 0) << done.talk;
  EXPECT_NEAR(scored(row(""), model + " --adapter " + out).at(0)["loss"].get<double>(),
              scored(row(""), model + " --adapter " + given).at(0)["loss"].get<double>(), 1e-4);
  EXPECT_EQ(run_peft(line + " " + model + " --to lora --rank 0.9").code, 1);  // it is there already
}

}  // namespace
}  // namespace peft::cli
