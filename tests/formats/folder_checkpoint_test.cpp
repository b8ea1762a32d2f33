#include "peft/formats/folder_checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <filesystem>

#include "peft/base/error.h"
#include "peft/base/file.h"
#include "peft/formats/checkpoint_writer.h"
#include "peft/formats/safetensors_writer.h"

namespace peft::formats {
namespace {
namespace fs = std::filesystem;

using testing::HasSubstr;

class FolderCheckpointTest : public testing::Test {
 protected:
  void SetUp() override {
    folder = fs::temp_directory_path() / ("peft_folder_" + std::to_string(::getpid()));
    fs::remove_all(folder);
    fs::create_directories(folder);
    write("config.json", R"({"model_type": "llama", "hidden_size": 4})");
  }
  void TearDown() override { fs::remove_all(folder); }

  void write(const char* name, std::string_view text) {
    write_file_atomically(folder / name, text);
  }

  /// Two shards and their index, as the index tells.
  void write_shards(std::string_view index) {
    write_safetensors(folder / "one.safetensors", {{"a", torch::ones({2, 3})}});
    write_safetensors(folder / "two.safetensors", {{"b", torch::zeros(5, at::kBFloat16)}});
    write("model.safetensors.index.json", index);
  }

  template <typename Error>
  std::string complaint() {
    try {
      FolderCheckpoint checkpoint(folder);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }

  fs::path folder;
};

TEST_F(FolderCheckpointTest, OneFileAndItsCompanionsAreOneCheckpoint) {
  write_safetensors(folder / "model.safetensors", {{"w", torch::arange(3, at::kFloat)}});
  write("generation_config.json", R"({"eos_token_id": 7})");
  write("tokenizer_config.json", R"({"chat_template": "old", "bos_token": "<s>"})");
  write("chat_template.jinja", "new");
  write("tokenizer.json", "{}");
  const auto checkpoint = Checkpoint::open(folder);
  EXPECT_EQ(checkpoint->config()["hidden_size"], 4);
  ASSERT_EQ(checkpoint->tensors().size(), 1);
  EXPECT_EQ(checkpoint->tensors()[0].shape, (std::vector<int64_t>{3}));
  EXPECT_EQ(checkpoint->generation_config()["eos_token_id"], 7);
  EXPECT_EQ(checkpoint->tokenizer_config()["bos_token"], "<s>");
  EXPECT_EQ(checkpoint->chat_template(), "new");
  EXPECT_EQ(checkpoint->tokenizer_file(), folder / "tokenizer.json");
  EXPECT_TRUE(checkpoint->gguf_metadata().is_null());
}

TEST_F(FolderCheckpointTest, WithoutCompanionsThereIsNothing) {
  write_safetensors(folder / "model.safetensors", {{"w", torch::ones(3)}});
  const auto checkpoint = Checkpoint::open(folder);
  EXPECT_TRUE(checkpoint->generation_config().is_null());
  EXPECT_TRUE(checkpoint->tokenizer_config().is_null());
  EXPECT_EQ(checkpoint->chat_template(), std::nullopt);
  EXPECT_EQ(checkpoint->tokenizer_file(), std::nullopt);
}

TEST_F(FolderCheckpointTest, ShardsAreOneCheckpoint) {
  write_shards(R"({"weight_map": {"b": "two.safetensors", "a": "one.safetensors"}})");
  const FolderCheckpoint checkpoint(folder);
  ASSERT_EQ(checkpoint.tensors().size(), 2);
  EXPECT_EQ(checkpoint.tensors()[1].file, folder / "two.safetensors");
  EXPECT_TRUE(at::equal(checkpoint.load("a", std::nullopt), torch::ones({2, 3})));
  EXPECT_EQ(checkpoint.load("b", std::nullopt).scalar_type(), at::kBFloat16);
  EXPECT_EQ(checkpoint.load("b", at::kFloat).scalar_type(), at::kFloat);
  EXPECT_EQ(checkpoint.dtype(), at::kFloat) << "24 of 34 bytes";
}

TEST_F(FolderCheckpointTest, ATensorIsReadWhereItLies) {
  write_safetensors(folder / "model.safetensors", {{"w", torch::ones(3)}});
  const FolderCheckpoint checkpoint(folder);
  EXPECT_EQ(checkpoint.load("w", std::nullopt).data_ptr(),
            checkpoint.load("w", at::kFloat).data_ptr());
}

TEST_F(FolderCheckpointTest, AnIndexThatDisagreesWithItsShardsIsAnError) {
  const std::string a = R"("a": "one.safetensors")";
  write_shards(R"({"weight_map": {)" + a + R"(, "b": "three.safetensors"}})");
  EXPECT_THAT(complaint<NotFoundError>(), HasSubstr("the shard 'three.safetensors' is missing"));
  write_shards(R"({"weight_map": {)" + a + R"(, "c": "two.safetensors"}})");
  EXPECT_THAT(complaint<FormatError>(), HasSubstr("two.safetensors: tensor 'c': expected it in"));
  write_shards(R"({"weight_map": {)" + a + R"(, "b": "two.safetensors"}})");
  write_safetensors(folder / "two.safetensors", {{"b", torch::ones(1)}, {"a", torch::ones(1)}});
  EXPECT_THAT(complaint<FormatError>(),
              HasSubstr("two.safetensors: tensor 'a': expected it in one shard, got it in "
                        "one.safetensors too"));
}

TEST_F(FolderCheckpointTest, AnIndexMayNotPointOutOfItsFolder) {
  for (const char* file : {R"("../one.safetensors")", R"("/etc/passwd")", R"("")", "7", "[]"}) {
    write_shards(std::string(R"({"weight_map": {"a": )") + file + "}}");
    EXPECT_THAT(complaint<FormatError>(), HasSubstr("tensor 'a': expected the name of a file"));
  }
  for (const char* index : {"{}", "[]", R"({"weight_map": 7})"}) {
    write_shards(index);
    EXPECT_THAT(complaint<FormatError>(), HasSubstr("weight_map"));
  }
}

TEST_F(FolderCheckpointTest, ADamagedShardIsNamed) {
  write_shards(R"({"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}})");
  fs::resize_file(folder / "two.safetensors", fs::file_size(folder / "two.safetensors") - 1);
  EXPECT_THAT(complaint<FormatError>(), HasSubstr("two.safetensors: tensor 'b'"));
}

TEST_F(FolderCheckpointTest, TheTemplateNamedDefaultIsTakenOutOfAList) {
  write_safetensors(folder / "model.safetensors", {{"w", torch::ones(3)}});
  const auto template_of = [&](std::string_view list) {
    write("tokenizer_config.json", R"({"chat_template": )" + std::string(list) + "}");
    return FolderCheckpoint(folder).chat_template();
  };
  EXPECT_EQ(template_of(R"("one")"), "one");
  EXPECT_EQ(
      template_of(R"([{"name": "rag", "template": "r"}, {"name": "default", "template": "d"}])"),
      "d");
  EXPECT_EQ(template_of(R"([7, {"name": 7}, {"name": "default", "template": 7}, {}])"),
            std::nullopt);
}

TEST_F(FolderCheckpointTest, WhatIsMissingIsTold) {
  EXPECT_THAT(complaint<NotFoundError>(), HasSubstr("expected weights in model.safetensors"));
  write_safetensors(folder / "model.safetensors", {{"model.norm.weight", torch::ones(3)}});
  try {
    FolderCheckpoint(folder).load("model.nrom.weight", std::nullopt);
    ADD_FAILURE() << "no error";
  } catch (const NotFoundError& error) {
    EXPECT_THAT(error.what(), HasSubstr("'model.norm.weight'"));
  }
  write("config.json", "[]");
  EXPECT_THAT(complaint<FormatError>(), HasSubstr("config.json: expected a JSON object"));
  fs::remove(folder / "config.json");
  EXPECT_THAT(complaint<NotFoundError>(), HasSubstr("with config.json, got none"));
}

}  // namespace
}  // namespace peft::formats
