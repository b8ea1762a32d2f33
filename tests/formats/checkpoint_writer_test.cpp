#include "peft/formats/checkpoint_writer.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <torch/torch.h>

#include <filesystem>
#include <set>

#include "peft/base/error.h"
#include "peft/base/file.h"
#include "peft/base/json_text.h"
#include "peft/formats/checkpoint.h"

namespace peft::formats {
namespace {
namespace fs = std::filesystem;

class CheckpointWriterTest : public testing::Test {
 protected:
  void SetUp() override {
    folder = fs::temp_directory_path() / ("peft_writer_" + std::to_string(::getpid()));
    fs::remove_all(folder);
  }
  void TearDown() override { fs::remove_all(folder); }

  std::set<std::string> files() const {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder)) names.insert(entry.path().filename());
    return names;
  }

  fs::path folder;
  StateDict weights{{"b", torch::arange(6, at::kFloat)}, {"a", torch::ones({2, 2}, at::kHalf)}};
};

TEST_F(CheckpointWriterTest, AFolderOpensAsWhatWentIn) {
  write_checkpoint(folder, weights,
                   {.config = {{"model_type", "llama"}, {"name", "é"}},
                    .generation_config = {{"eos_token_id", 1}},
                    .tokenizer_config = {{"bos_token", "<s>"}},
                    .tokenizer = "{}",
                    .chat_template = "{{ messages }}"});
  EXPECT_EQ(files(),
            (std::set<std::string>{"config.json", "generation_config.json", "tokenizer_config.json",
                                   "tokenizer.json", "chat_template.jinja", "model.safetensors"}));
  const auto checkpoint = Checkpoint::open(folder);
  EXPECT_EQ(checkpoint->config()["name"], "é");
  EXPECT_EQ(checkpoint->generation_config()["eos_token_id"], 1);
  EXPECT_EQ(checkpoint->tokenizer_config()["bos_token"], "<s>");
  EXPECT_EQ(checkpoint->chat_template(), "{{ messages }}");
  for (const auto& [name, tensor] : weights) {
    EXPECT_TRUE(at::equal(checkpoint->load(name), tensor)) << name;
  }
}

TEST_F(CheckpointWriterTest, PartsThatAreNotThereAreNotWritten) {
  write_checkpoint(folder, weights, {.config = Json::object()});
  EXPECT_EQ(files(), (std::set<std::string>{"config.json", "model.safetensors"}));
}

TEST_F(CheckpointWriterTest, ValuesAreMadeWhenTheyAreWritten) {
  const auto doubled = [](const std::string&, const at::Tensor& tensor) { return tensor * 2; };
  write_checkpoint(folder, weights, {.config = Json::object(), .max_shard_size = 24}, doubled);
  const auto checkpoint = Checkpoint::open(folder);
  for (const auto& [name, tensor] : weights) {
    EXPECT_TRUE(at::equal(checkpoint->load(name), tensor * 2)) << name;
  }
  const auto widened = [](const std::string&, const at::Tensor& tensor) {
    return tensor.to(at::kDouble);
  };
  EXPECT_THROW(write_checkpoint(folder / "x", weights, {.config = Json::object()}, widened),
               ConfigError);
  EXPECT_FALSE(fs::exists(folder / "x" / "model.safetensors"));
}

TEST_F(CheckpointWriterTest, ShardsAndTheirIndexAreNamedAsInTransformers) {
  write_checkpoint(folder, weights, {.config = Json::object(), .max_shard_size = 24});
  const Json expected = parse_json(R"({"metadata": {"total_size": 32}, "weight_map": {
      "a": "model-00002-of-00002.safetensors", "b": "model-00001-of-00002.safetensors"}})",
                                   "expected");
  EXPECT_EQ(read_json_file(folder / "model.safetensors.index.json"), expected);
  EXPECT_FALSE(fs::exists(folder / "model.safetensors"));
  const auto checkpoint = Checkpoint::open(folder);
  for (const auto& [name, tensor] : weights) {
    EXPECT_TRUE(at::equal(checkpoint->load(name), tensor)) << name;
  }
}

TEST_F(CheckpointWriterTest, ATensorLargerThanAShardHasOneOfItsOwn) {
  write_checkpoint(folder, weights, {.config = Json::object(), .max_shard_size = 1});
  EXPECT_EQ(Checkpoint::open(folder)->tensors().size(), 2);
}

TEST_F(CheckpointWriterTest, AFullDiskLeavesNoFolderThatLooksWhole) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);  // without it the process would be ended
  const rlimit small{.rlim_cur = 1000, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  EXPECT_THROW(
      write_checkpoint(folder, {{"w", torch::ones(1000)}}, {.config = {{"model_type", "llama"}}}),
      IoError);
  ::setrlimit(RLIMIT_FSIZE, &before);
  ::signal(SIGXFSZ, handler);
  EXPECT_TRUE(files().empty());
  EXPECT_THROW(Checkpoint::open(folder), NotFoundError);
}

}  // namespace
}  // namespace peft::formats
