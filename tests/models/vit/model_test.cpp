#include "peft/models/vit/model.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "peft/base/error.h"
#include "tests/models/contract.h"

namespace peft {
namespace {

using test::Contract;
using vit::ViTConfig;

TEST(ViTConfig, SidesAreANumberOrTwo) {
  const auto config = ViTConfig::from_json(
      {{"image_size", Json::array({32, 48})}, {"patch_size", 8}, {"hidden_size", 24}});
  EXPECT_EQ(config.patches(), (std::array<int64_t, 2>{4, 6}));
  EXPECT_EQ(config.pooler_output_size, 24);
  EXPECT_THROW(ViTConfig::from_json({{"image_size", Json::array({32})}}), ConfigError);
  EXPECT_THROW(ViTConfig::from_json({{"image_size", Json::array({32, -1})}}), ConfigError);
  EXPECT_THROW(ViTConfig::from_json({{"image_size", 8}, {"patch_size", 16}}), ConfigError);
  EXPECT_THROW(ViTConfig::from_json({{"image_size", 0x7fffffff}, {"patch_size", 1}}), ConfigError);
}

TEST(ViT, ItReadsPixelsAndNoTokens) {
  const auto file = Contract::read("vit_classes");
  const auto model = std::dynamic_pointer_cast<ImageClassifierImpl>(file.model());
  EXPECT_EQ(model->num_labels(), 5);
  EXPECT_THROW(model->embed(at::zeros({1, 2}, at::kLong)), UnsupportedError);
  EXPECT_THROW(model->forward(at::Tensor()), ConfigError);
  EXPECT_THROW(model->forward(at::zeros({1, 1, 8, 8})), ConfigError);
  EXPECT_THROW(model->forward(at::zeros({3, 8, 8})), ConfigError);
  EXPECT_EQ(vit::make_model(file.file.config, ModelTask::kQuestionAnswering, at::kFloat), nullptr);
}

TEST(ViT, TheKeysOfOlderCheckpointsAreKnown) {
  const auto model = Contract::read("vit_classes").model();
  const std::map<std::string, std::string> renamed = {
      {"vit.encoder.layer.3.attention.attention.query.weight",
       "vit.layers.3.attention.q_proj.weight"},
      {"vit.encoder.layer.3.attention.attention.key.bias", "vit.layers.3.attention.k_proj.bias"},
      {"vit.encoder.layer.3.attention.attention.value.bias", "vit.layers.3.attention.v_proj.bias"},
      {"vit.encoder.layer.3.attention.output.dense.weight", "vit.layers.3.attention.o_proj.weight"},
      {"vit.encoder.layer.3.intermediate.dense.bias", "vit.layers.3.mlp.fc1.bias"},
      {"vit.encoder.layer.3.output.dense.weight", "vit.layers.3.mlp.fc2.weight"},
      {"vit.encoder.layer.11.layernorm_before.weight", "vit.layers.11.layernorm_before.weight"},
      {"vit.embeddings.cls_token", "vit.embeddings.cls_token"},
  };
  for (const auto& [old, now] : renamed) EXPECT_EQ(model->renamed_key(old), now);
  for (const auto& item : model->named_parameters()) {
    EXPECT_EQ(model->renamed_key(item.key()), item.key());
  }
}

// vit.layers.0.attention.q_proj.weight -> vit.encoder.layer.0.attention.attention.query.weight
std::string older_name(std::string key) {
  const std::pair<std::string, std::string> renamed[] = {
      {"layers.", "encoder.layer."},
      {"q_proj", "attention.query"},
      {"k_proj", "attention.key"},
      {"v_proj", "attention.value"},
      {"attention.o_proj", "attention.output.dense"},
      {"mlp.fc1", "intermediate.dense"},
      {"mlp.fc2", "output.dense"}};
  for (const auto& [now, old] : renamed) {
    if (const auto at = key.find(now); at != std::string::npos) key.replace(at, now.size(), old);
  }
  return key;
}

TEST(ViT, AnOlderCheckpointIsLoaded) {
  const auto file = Contract::read("vit_classes");
  const auto model = std::dynamic_pointer_cast<ImageClassifierImpl>(
      vit::make_model(file.file.config, ModelTask::kImageClassification, at::kFloat));
  WeightSource source = file.file.weights();
  std::map<std::string, std::string> now;
  for (auto& entry : source.entries) {
    const auto old = older_name(entry.name);
    now[old] = entry.name;
    entry.name = old;
  }
  source.read = [&, read = source.read](const std::string& old, at::ScalarType dtype) {
    return read(now.at(old), dtype);
  };
  EXPECT_TRUE(load_weights(*model, source).unexpected.empty());
  model->eval();
  at::NoGradGuard no_grad;
  EXPECT_LT(test::relative_error(model->forward(file["pixel_values"]), file["logits"]), 1e-5);
}

}  // namespace
}  // namespace peft
