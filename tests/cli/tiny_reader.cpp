#include "tests/cli/tiny_reader.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "peft/base/file.h"
#include "peft/base/text.h"

namespace peft::cli {

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

ProgramRun run_on_reader(const std::string& command, const std::string& flags) {
  return run_peft(
      fmt::format("{} --model_name_or_path {} {}", command, tiny_reader().string(), flags));
}

fs::path rows_file(const std::string& name, const std::vector<Json>& rows) {
  std::string text;
  for (const Json& row : rows) text += row.dump() + "\n";
  write_file_atomically(scratch() / name, text);
  return scratch() / name;
}

fs::path trained_reader(const std::string& task, const fs::path& rows, const std::string& more,
                        int steps) {
  static int count = 0;
  const fs::path out = scratch() / fmt::format("reader{}_{}", ++count, task);
  const ProgramRun done = run_on_reader(
      "train", fmt::format("--task_type {} --dataset_name {} --output_dir {} --max_steps {} "
                           "--learning_rate 2e-2 --lora_dropout 0 --save_strategy no "
                           "--logging_steps 20 {}",
                           task, rows.string(), out.string(), steps, more));
  EXPECT_EQ(done.code, 0) << done.talk;
  return out;
}

std::vector<std::string> lines_of(const std::string& text) {
  auto parts = split(text, '\n');
  if (!parts.empty() && parts.back().empty()) parts.pop_back();
  return parts;
}

void expect_told(const ProgramRun& done, int code, const std::string& words) {
  EXPECT_EQ(done.code, code) << done.talk;
  EXPECT_NE(done.talk.find(words), std::string::npos) << done.talk;
}

}  // namespace peft::cli
