#include "peft/hub/resolve.h"

#include <gmock/gmock.h>

#include "tests/hub/support.h"

namespace peft::hub {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_directory()) names.push_back(entry.path().lexically_relative(folder));
  }
  std::sort(names.begin(), names.end());
  return names;
}

TEST_F(HubTest, AModelBringsWhatAModelIsReadFrom) {
  hub.commit("org/whole", {{"config.json", {"{}", false}},
                           {"tokenizer.json", {"{}", false}},
                           {"model-00001-of-00002.safetensors", {"a", true}},
                           {"model-00002-of-00002.safetensors", {"b", true}},
                           {"model.safetensors.index.json", {"{}", false}},
                           {"pytorch_model.bin", {"pickle", true}},
                           {"original/consolidated.00.pth", {"pickle", true}},
                           {"README.md", {"text", false}}});
  const fs::path snapshot = model_folder("org/whole", {.settings = settings});
  EXPECT_THAT(names_in(snapshot),
              testing::ElementsAre("config.json", "model-00001-of-00002.safetensors",
                                   "model-00002-of-00002.safetensors",
                                   "model.safetensors.index.json", "tokenizer.json"));
  std::filesystem::remove_all(settings.cache);
  EXPECT_THAT(names_in(tokenizer_folder("org/whole", {.settings = settings})),
              testing::ElementsAre("config.json", "tokenizer.json"));
}

TEST_F(HubTest, AGgufRepositoryGivesItsFile) {
  hub.commit("org/gguf", {{"model.Q4.gguf", {"GGUF", true}}, {"README.md", {"text", false}}});
  EXPECT_EQ(model_folder("org/gguf", {.settings = settings}).filename(), "model.Q4.gguf");
  hub.commit("org/ggufs", {{"a.gguf", {"GGUF", true}}, {"b.gguf", {"GGUF", true}}});
  EXPECT_THAT(message_of<ConfigError>([&] { model_folder("org/ggufs", {.settings = settings}); }),
              HasSubstr("expected one .gguf file"));
  EXPECT_EQ(read_text_file(model_folder("org/ggufs/b.gguf", {.settings = settings})), "GGUF");
}

TEST_F(HubTest, AnAdapterWithRevisionAndSubfolder) {
  hub.commit("org/lora",
             {{"adapter_config.json", {"root", false}},
              {"adapter_model.safetensors", {"weights", true}},
              {"adapter_model.bin", {"pickle", true}},
              {"en/adapter_config.json", {"en", false}},
              {"en/adapter_model.bin", {"pickle", true}}},
             "main");
  hub.commit("org/lora", {{"adapter_config.json", {"old", false}}}, "v1");
  const fs::path root = adapter_folder("org/lora", {.settings = settings});
  EXPECT_THAT(names_in(root),
              testing::ElementsAre("adapter_config.json", "adapter_model.safetensors"));
  const fs::path english = adapter_folder("org/lora/en", {.settings = settings});
  EXPECT_EQ(read_text_file(english / "adapter_config.json"), "en");
  EXPECT_TRUE(fs::exists(english / "adapter_model.bin"));
  EXPECT_EQ(adapter_folder("org/lora", {.subfolder = "en", .settings = settings}), english);
  EXPECT_EQ(
      read_text_file(adapter_folder("org/lora@v1", {.settings = settings}) / "adapter_config.json"),
      "old");
  EXPECT_EQ(
      read_text_file(adapter_folder("hf://org/lora", {.revision = "v1", .settings = settings}) /
                     "adapter_config.json"),
      "old");
}

TEST_F(HubTest, LocalPathsNeverAskTheHub) {
  ensure_folder(scratch / "sub");
  EXPECT_EQ(model_folder(scratch / "sub", {.settings = settings}), scratch / "sub");
  EXPECT_EQ(adapter_folder(scratch / "sub", {.subfolder = "x", .settings = settings}),
            scratch / "sub" / "x");
  for (const char* path : {"./no/such", "/no/such", "nosuch.gguf", "no/such/../x"}) {
    EXPECT_EQ(model_folder(path, {.settings = settings}), path);
    EXPECT_EQ(adapter_folder(path, {.settings = settings}), path);
  }
  EXPECT_TRUE(hub.seen().empty());
}

TEST_F(HubTest, AWrongNameIsToldAsPathAndRepository) {
  const std::string message =
      message_of<NotFoundError>([&] { model_folder("data/mistyped", {.settings = settings}); });
  EXPECT_THAT(message, HasSubstr("there is no such path here"));
  EXPECT_THAT(message, HasSubstr("no such repository"));
  EXPECT_THAT(message_of<NotFoundError>([&] { adapter_folder(kRepo, {.settings = settings}); }),
              HasSubstr("expected an adapter with adapter_config.json"));
}

}  // namespace
}  // namespace peft::hub
