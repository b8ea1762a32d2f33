#include "peft/models/gpt_neox/model.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "peft/base/error.h"
#include "peft/models/common/load_weights.h"
#include "peft/models/registry.h"
#include "tests/models/contract.h"

namespace peft::gpt_neox {
namespace {

using test::Contract;

TEST(GptNeoxModel, TheOldNameOfTheHeadIsUnderstood) {
  const auto file = Contract::read("gpt_neox_lm");
  auto weights = file.file.weights();
  const auto read = weights.read;
  for (auto& entry : weights.entries) {
    if (entry.name == "lm_head.weight") entry.name = "embed_out.weight";
  }
  weights.read = [&](const std::string& name, at::ScalarType dtype) {
    return read(name == "embed_out.weight" ? "lm_head.weight" : name, dtype);
  };
  const auto model = peft::make_model(file.config(), ModelTask::kCausalLM);
  EXPECT_TRUE(load_weights(*model, weights).unexpected.empty());
  model->eval();
  EXPECT_LT(test::relative_error(test::scores(*model, {.ids = file["ids"]}), file["logits"]), 1e-5);
}

TEST(GptNeoxModel, TheOldSpellingOfRotaryPositionsGivesTheSame) {
  for (const auto* name : {"gpt_neox_lm", "gpt_neox_serial"}) {
    auto file = Contract::read(name);
    const Json rope = file.config().at("rope_parameters");
    file.file.config.erase("rope_parameters");
    file.file.config["rotary_pct"] = rope.at("partial_rotary_factor");
    file.file.config["rotary_emb_base"] = rope.at("rope_theta");
    const auto model = file.model();
    EXPECT_LT(test::relative_error(test::scores(*model, {.ids = file["ids"]}), file["logits"]),
              1e-5)
        << name;
  }
}

TEST(GptNeoxConfig, SilenceMeansTransformersDefaults) {
  const auto c = GPTNeoXConfig::from_json({{"model_type", "gpt_neox"}});
  EXPECT_EQ(c.num_hidden_layers, 44);
  EXPECT_EQ(c.head_dim(), 96);
  EXPECT_EQ(c.rotary_dims, 24);
  EXPECT_TRUE(c.use_parallel_residual && c.attention_bias);
}

TEST(GptNeoxConfig, WrongValuesAreErrors) {
  const std::vector<std::pair<std::string, Json>> wrong = {
      {"hidden_size", 100},       {"rotary_pct", 0.0},
      {"rotary_pct", 2.0},        {"rotary_pct", -1e300},
      {"rotary_pct", 0.02},       {"num_hidden_layers", 2000000},
      {"vocab_size", 2147483647}, {"hidden_dropout", -1},
      {"attention_bias", "no"},   {"intermediate_size", 2147483647}};
  for (const auto& [key, value] : wrong) {
    EXPECT_THROW(GPTNeoXConfig::from_json({{key, value}}), ConfigError) << key << " " << value;
  }
}

}  // namespace
}  // namespace peft::gpt_neox
