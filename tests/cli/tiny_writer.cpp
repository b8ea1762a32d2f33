#include "tests/cli/tiny_writer.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "peft/base/file.h"
#include "peft/base/json.h"

namespace peft::cli {

namespace fs = std::filesystem;

namespace {

Json words_tokenizer() {
  Json vocabulary = Json::object(), added = Json::array();
  for (const char* token : {"<pad>", "</s>", "<unk>"}) {
    added.push_back({{"id", vocabulary.size()},
                     {"content", token},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
    vocabulary[token] = vocabulary.size();
  }
  for (const char* word :
       {"one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"}) {
    vocabulary[word] = vocabulary.size();
  }
  const Json end = {{"SpecialToken", {{"id", "</s>"}, {"type_id", 0}}}};
  const Json text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  return {{"version", "1.0"},
          {"added_tokens", added},
          {"pre_tokenizer", {{"type", "Whitespace"}}},
          {"post_processor",
           {{"type", "TemplateProcessing"},
            {"single", {text, end}},
            {"pair", {text, end}},
            {"special_tokens", {{"</s>", {{"id", "</s>"}, {"ids", {1}}, {"tokens", {"</s>"}}}}}}}},
          {"model", {{"type", "WordLevel"}, {"vocab", vocabulary}, {"unk_token", "<unk>"}}}};
}

}  // namespace

fs::path tiny_writer() {
  const fs::path folder = scratch() / "tiny_writer";
  if (fs::exists(folder)) return folder;
  const fs::path base = fs::path(PEFT_SOURCE_DIR) / "tests/front/golden_seq2seq/bases/t5";
  fs::create_directories(folder);
  for (const char* name : {"config.json", "model.safetensors"}) {
    fs::copy_file(base / name, folder / name);
  }
  write_file_atomically(folder / "tokenizer.json", words_tokenizer().dump());
  write_file_atomically(
      folder / "tokenizer_config.json",
      Json{{"eos_token", "</s>"}, {"pad_token", "<pad>"}, {"unk_token", "<unk>"}}.dump());
  return folder;
}

ProgramRun run_on_writer(const std::string& command, const std::string& flags) {
  return run_peft(
      fmt::format("{} --model_name_or_path {} {}", command, tiny_writer().string(), flags));
}

fs::path trained_writer(const fs::path& rows, const std::string& more) {
  static int count = 0;
  const fs::path out = scratch() / fmt::format("writer{}", ++count);
  const ProgramRun done = run_on_writer(
      "train", fmt::format("--task_type SEQ_2_SEQ_LM --dataset_name {} --output_dir {} --max_steps "
                           "60 --learning_rate 3e-2 --lora_dropout 0 --save_strategy no "
                           "--per_device_train_batch_size 16 {}",
                           rows.string(), out.string(), more));
  EXPECT_EQ(done.code, 0) << done.talk;
  return out;
}

}  // namespace peft::cli
