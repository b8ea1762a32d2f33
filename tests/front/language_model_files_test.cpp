// What a language model adds to an adapter's files: embeddings, the model card, and the base model
// that the adapter's config names.

#include <gtest/gtest.h>
#include <stdlib.h>
#include <torch/torch.h>
#include <unistd.h>

#include "peft/auto_peft_model.h"
#include "peft/base/error.h"
#include "peft/base/file.h"
#include "peft/base/json_text.h"
#include "peft/formats/safetensors_writer.h"
#include "peft/functional.h"
#include "peft/model_card.h"
#include "peft/models/registry.h"
#include "tests/front/support.h"
#include "tests/support/collected_warnings.h"
#include "tests/support/expect_message.h"

namespace peft {
namespace {

namespace fs = std::filesystem;
using test::CollectedWarnings;
using test::expect_message;
using test::TemporaryFolder;

Json small_config() {
  return {{"model_type", "llama"},
          {"vocab_size", 16},
          {"hidden_size", 8},
          {"intermediate_size", 8},
          {"num_hidden_layers", 1},
          {"num_attention_heads", 2},
          {"num_key_value_heads", 2},
          {"max_position_embeddings", 32},
          {"rms_norm_eps", 1e-5},
          {"tie_word_embeddings", false},
          {"architectures", Json::array({"LlamaForCausalLM"})}};
}

LanguageModel small_model(const Json& config = small_config()) {
  torch::manual_seed(5);
  LanguageModel model = make_language_model(config);
  at::NoGradGuard no_grad;
  for (auto& item : model->named_parameters()) item.value().normal_(0.0, 0.2);
  model->eval();
  return model;
}

/// Writes the model as a checkpoint folder, and tells the model where it lies.
void write_base(LanguageModelImpl& model, const fs::path& folder) {
  StateDict tensors;
  for (const auto& item : model.named_parameters()) tensors.set(item.key(), item.value().detach());
  fs::create_directories(folder);
  formats::write_safetensors(folder / "model.safetensors", tensors);
  write_file_atomically(folder / "config.json", dump_json(model.config()));
  model.set_name_or_path(folder.string());
}

const char* const kEmbedding = "base_model.model.model.embed_tokens.weight";
const char* const kHead = "base_model.model.lm_head.weight";

LoraConfig config_with(std::vector<std::string> targets) {
  return {.r = 2, .target_modules = std::move(targets), .init_lora_weights = false};
}

TEST(SaveEmbeddingLayers, AreSavedAsThePythonRulesSay) {
  const CollectedWarnings warnings;
  PeftModelForCausalLM plain(small_model(), config_with({"q_proj"}));
  EXPECT_FALSE(plain.state_dict().contains(kEmbedding));
  const StateDict all = plain.state_dict("default", SaveEmbeddingLayers::kYes);
  EXPECT_TRUE(all.contains(kEmbedding));
  EXPECT_TRUE(all.contains(kHead));

  PeftModelForCausalLM targeted(small_model(), config_with({"q_proj", "embed_tokens"}));
  const StateDict automatic = targeted.state_dict();
  EXPECT_TRUE(warnings.tell("embedding layers found in `target_modules`"));
  EXPECT_TRUE(automatic.contains("base_model.model.model.embed_tokens.base_layer.weight"));
  EXPECT_FALSE(automatic.contains(kHead)) << "it is not adapted";
  EXPECT_FALSE(targeted.state_dict("default", SaveEmbeddingLayers::kNo)
                   .contains("base_model.model.model.embed_tokens.base_layer.weight"));

  PeftModelForCausalLM pattern(small_model(), LoraConfig{.r = 2, .target_modules = ".*lm_head"});
  EXPECT_TRUE(pattern.state_dict().contains("base_model.model.lm_head.base_layer.weight"));
}

TEST(SaveEmbeddingLayers, AVocabularyThatGrewIsSaved) {
  const TemporaryFolder folder("grown");
  write_base(*small_model(), folder.path());
  Json wide = small_config();
  wide["vocab_size"] = 18;
  LoraConfig config = config_with({"q_proj"});
  config.base_model_name_or_path = folder.path().string();
  const CollectedWarnings warnings;
  PeftModelForCausalLM grown(small_model(wide), config);
  EXPECT_TRUE(grown.state_dict().contains(kEmbedding));
  EXPECT_TRUE(grown.state_dict().contains(kHead));
  EXPECT_TRUE(warnings.tell("has been resized"));
  PeftModelForCausalLM same(small_model(), config);
  EXPECT_FALSE(same.state_dict().contains(kEmbedding));
  config.base_model_name_or_path = "org/nowhere";
  EXPECT_FALSE(PeftModelForCausalLM(small_model(wide), config).state_dict().contains(kEmbedding));
  EXPECT_TRUE(warnings.tell("Could not find a config file in org/nowhere"));
}

/// Puts a config.json into the Hub's cache, as a download of the repository leaves it.
void write_cached_config(const fs::path& cache, const std::string& repo, const Json& config) {
  const std::string commit(40, 'a');
  const fs::path folder = cache / ("models--" + repo);
  fs::create_directories(folder / "refs");
  fs::create_directories(folder / "snapshots" / commit);
  write_file_atomically(folder / "refs/main", commit);
  write_file_atomically(folder / "snapshots" / commit / "config.json", dump_json(config));
}

TEST(SaveEmbeddingLayers, TheBaseOfAHubIdIsComparedAsTheCacheHasIt) {
  const TemporaryFolder cache("vocabulary_cache");
  ::setenv("HF_HUB_CACHE", cache.path().c_str(), 1);
  ::setenv("HF_ENDPOINT", "http://127.0.0.1:1", 1);  // nobody answers there
  write_cached_config(cache.path(), "org--small", small_config());
  Json wide = small_config();
  wide["vocab_size"] = 18;
  LoraConfig config = config_with({"q_proj"});
  for (const char* offline : {"1", "0"}) {
    ::setenv("HF_HUB_OFFLINE", offline, 1);
    const CollectedWarnings warnings;
    config.base_model_name_or_path = "org/small";
    PeftModelForCausalLM grown(small_model(wide), config);
    EXPECT_TRUE(grown.state_dict().contains(kEmbedding));
    EXPECT_TRUE(warnings.tell("has been resized"));
    config.base_model_name_or_path = "org/small@main";
    EXPECT_FALSE(PeftModelForCausalLM(small_model(), config).state_dict().contains(kEmbedding));
    EXPECT_FALSE(warnings.tell("Could not find a config file"));
    for (const char* unknown : {"org/small@other", "org/small/inside", "org/other"}) {
      config.base_model_name_or_path = unknown;
      EXPECT_FALSE(
          PeftModelForCausalLM(small_model(wide), config).state_dict().contains(kEmbedding));
      EXPECT_TRUE(warnings.tell(std::string("Could not find a config file in ") + unknown));
    }
  }
  ::setenv("HF_HUB_ETAG_TIMEOUT", "soon", 1);
  const CollectedWarnings warnings;
  config.base_model_name_or_path = "org/small";
  PeftModelForCausalLM model(small_model(wide), config);
  EXPECT_FALSE(model.state_dict().contains(kEmbedding));
  EXPECT_TRUE(warnings.tell("HF_HUB_ETAG_TIMEOUT"));
  for (const char* name :
       {"HF_HUB_CACHE", "HF_ENDPOINT", "HF_HUB_OFFLINE", "HF_HUB_ETAG_TIMEOUT"}) {
    ::unsetenv(name);
  }
}

TEST(SaveEmbeddingLayers, AModelOfAnotherKindSaysSo) {
  const CollectedWarnings warnings;
  test::Net net;
  const auto model = get_peft_model(net, config_with({"fc1"}));
  EXPECT_EQ(model.state_dict("default", SaveEmbeddingLayers::kYes).size(), 2u);
  EXPECT_TRUE(warnings.tell("Could not identify embedding layer(s)"));
}

TEST(AutoPeftModel, OpensTheBaseThatTheConfigNames) {
  const TemporaryFolder folder("auto");
  const LanguageModel base = small_model();
  write_base(*base, folder.path() / "base");
  LoraConfig config = config_with({"q_proj"});
  config.task_type = "CAUSAL_LM";
  PeftModelForCausalLM model(base, config);
  model.save_pretrained(folder.path() / "adapter");
  // Frozen adapters are multiplied by another kernel, which rounds differently.
  auto opened = AutoPeftModelForCausalLM::from_pretrained(folder.path() / "adapter",
                                                          {.adapter = {.is_trainable = true}});
  const at::Tensor ids = torch::arange(6).view({1, 6});
  EXPECT_TRUE(at::equal(opened.forward({.input_ids = ids}), model.forward({.input_ids = ids})));
  expect_message<ConfigError>({"task_type", "CAUSAL_LM", "AutoPeftModelForCausalLM"},
                              [&] { AutoPeftModel::from_pretrained(folder.path() / "adapter"); });
}

TEST(AutoPeftModel, WithoutATaskTheClassOfTheBaseDecides) {
  const TemporaryFolder folder("auto_class");
  const LanguageModel base = small_model();
  write_base(*base, folder.path() / "base");
  const fs::path adapter = folder.path() / "adapter", file = adapter / "adapter_config.json";
  PeftModelForCausalLM model(base, config_with({"q_proj"}));
  model.save_pretrained(adapter);
  const at::Tensor ids = torch::arange(6).view({1, 6});
  auto opened = AutoPeftModel::from_pretrained(adapter, {.adapter = {.is_trainable = true}});
  EXPECT_TRUE(at::equal(opened.forward(LanguageModelInput{.input_ids = ids}),
                        model.forward({.input_ids = ids})));
  Json config = read_json_file(file);
  config["auto_mapping"] = {{"base_model_class", "ViTModel"}, {"parent_library", "transformers"}};
  write_file_atomically(file, dump_json(config));
  expect_message<UnsupportedError>({"auto_mapping", "ViTModel"},
                                   [&] { AutoPeftModel::from_pretrained(adapter); });
  config["auto_mapping"] = nullptr;
  write_file_atomically(file, dump_json(config));
  expect_message<ConfigError>({"auto_mapping", "got none"},
                              [&] { AutoPeftModel::from_pretrained(adapter); });
  config["task_type"] = "SEQ_CLS";
  write_file_atomically(file, dump_json(config));
  expect_message<ConfigError>({"task_type", "CAUSAL_LM", "SEQ_CLS"},
                              [&] { AutoPeftModelForCausalLM::from_pretrained(adapter); });
  config["task_type"] = "CAUSAL_LM";
  config["base_model_name_or_path"] = nullptr;
  write_file_atomically(file, dump_json(config));
  expect_message<ConfigError>({"base_model_name_or_path", "null"},
                              [&] { AutoPeftModelForCausalLM::from_pretrained(adapter); });
}

fs::path card_case(const std::string& name) {
  return fs::path(PEFT_SOURCE_DIR) / "tests/front/golden_cards" / name;
}

/// What becomes of a card; empty: of none.
std::string updated_card(const std::string& before, const std::string& base = "org/base",
                         std::optional<std::string> task = "CAUSAL_LM") {
  const TemporaryFolder folder("card");
  if (!before.empty()) write_file_atomically(folder.path() / "README.md", before);
  const LanguageModel model = small_model();
  model->set_name_or_path(base);
  LoraConfig config = config_with({"q_proj"});
  config.task_type = std::move(task);
  create_or_update_model_card(PeftModelForCausalLM(model, config).tuner(), folder.path());
  return read_text_file(folder.path() / "README.md");
}

TEST(ModelCard, IsBroughtUpToDateAsPythonDoes) {
  for (const char* name :
       {"text_only", "empty_metadata", "other_entries", "headings", "windows", "done"}) {
    SCOPED_TRACE(name);
    const std::string before = read_text_file(card_case(std::string(name) + ".before.md"));
    EXPECT_EQ(updated_card(before), read_text_file(card_case(std::string(name) + ".after.md")));
  }
}

std::string metadata_of(const std::string& card) {
  return card.substr(0, card.find("\n---\n", 4) + 5);
}

TEST(ModelCard, ANewOneHasPythonsMetadata) {
  const auto wanted = [](const char* name) { return read_text_file(card_case(name)); };
  EXPECT_EQ(metadata_of(updated_card("")), wanted("new.after.md"));
  EXPECT_EQ(metadata_of(updated_card("", "org/base", std::nullopt)), wanted("no_task.after.md"));
  EXPECT_EQ(metadata_of(updated_card("", "./it's: 1 #2")), wanted("odd_name.after.md"));
  EXPECT_EQ(metadata_of(updated_card("", "1.5")), wanted("number.after.md"));
  EXPECT_NE(updated_card("").find("### Framework versions\n\n- PEFT 0.21.2"), std::string::npos);
}

TEST(ModelCard, IsTheSameTheSecondTime) {
  const std::string once = updated_card("---\ntags:\n- mine\nlicense: mit\n---\n# Mine\n");
  EXPECT_EQ(updated_card(once), once);
  EXPECT_NE(once.find("- mine\n"), std::string::npos) << "tags are kept, unlike in Python";
}

TEST(ModelCard, ThatCannotBeReadIsLeftAlone) {
  const TemporaryFolder folder("bad_card");
  const std::string bad = "---\n[1, 2]\n---\ntext\n";
  write_file_atomically(folder.path() / "README.md", bad);
  PeftModelForCausalLM model(small_model(), config_with({"q_proj"}));
  expect_message<FormatError>({"README.md", "metadata", "[1, 2]"},
                              [&] { model.save_pretrained(folder.path()); });
  EXPECT_EQ(read_text_file(folder.path() / "README.md"), bad);
  EXPECT_FALSE(fs::exists(folder.path() / "adapter_config.json"));
  write_file_atomically(folder.path() / "README.md", "---\ntags: {a: b}\n---\n");
  expect_message<FormatError>({"README.md", "tags", "list of short strings"},
                              [&] { model.save_pretrained(folder.path()); });
}

TEST(ModelCard, TellsOfAQuantisedBase) {
  Json config = small_config();
  config["quantization_config"] = {{"bits", 4}, {"sym", true}, {"scheme", "q4"}, {"zero", nullptr}};
  const TemporaryFolder folder("quantised");
  const PeftModelForCausalLM model(small_model(config), config_with({"q_proj"}));
  create_or_update_model_card(model.tuner(), folder.path());
  create_or_update_model_card(model.tuner(), folder.path());
  const std::string card = read_text_file(folder.path() / "README.md");
  const std::string section =
      "## Training procedure\n\nThe following `bitsandbytes` quantization config was used during "
      "training:\n- bits: 4\n- sym: True\n- scheme: q4\n- zero: None\n";
  const size_t at = card.find(section);
  ASSERT_NE(at, std::string::npos) << card;
  EXPECT_EQ(card.find(section, at + 1), std::string::npos);
}

}  // namespace
}  // namespace peft
