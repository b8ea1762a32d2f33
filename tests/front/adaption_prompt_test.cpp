// Adaption prompts against Python, and what is refused.

#include <gtest/gtest.h>

#include "peft/adapter_folder.h"
#include "peft/base/error.h"
#include "peft/methods/adaption_prompt/config.h"
#include "tests/front/golden_prompts.h"
#include "tests/front/support.h"
#include "tests/support/collected_warnings.h"
#include "tests/support/expect_message.h"

namespace peft {
namespace {

using namespace test;  // NOLINT: what the golden tests share

class AdaptionPrompt : public testing::TestWithParam<std::string> {
 protected:
  LanguageModel base() const {
    if (GetParam() == "adaption_gpt2") return golden_base("gpt2");
    return golden_base(GetParam() == "adaption_mistral" ? "mistral" : "llama");
  }
  std::filesystem::path folder() const { return golden_prompts(GetParam()); }
  const PromptCase given_{GetParam()};
};

TEST_P(AdaptionPrompt, BeginsAsInPython) {
  const LanguageModel plain = base();
  at::manual_seed(7);
  auto config = read_adapter_config(folder()).as<AdaptionPromptConfig>();
  config.inference_mode = false;
  const PeftModelForCausalLM model(plain, config);
  const auto python = given_.part("init.");
  const StateDict ours = model.state_dict();
  ASSERT_EQ(ours.size(), python.size());
  for (const auto& [key, tensor] : ours) expect_near(tensor, python.at(key), key, 1e-6);
}

TEST_P(AdaptionPrompt, ComputesAndLearnsAsPythonDoes) {
  auto model = PeftModelForCausalLM::from_pretrained(base(), folder(), {.is_trainable = true});
  model.eval();
  const at::Tensor labels = given_.run.at("labels");
  expect_near(model.forward(given_.input()).narrow(2, 0, 40), given_.run.at("logits"), "logits");
  const at::Tensor loss = model.loss(given_.input(), labels);
  expect_near(loss.reshape({1}), given_.run.at("loss"), "loss");
  loss.backward();
  const auto grads = given_.part("grad.");
  const auto learning = model.trainable_parameters();
  ASSERT_EQ(learning.size(), grads.size());
  std::vector<at::Tensor> parameters;
  for (const auto& [name, tensor] : learning) {
    ASSERT_TRUE(name.ends_with(".default")) << name;
    const std::string key = name.substr(0, name.size() - std::string(".default").size());
    expect_near(tensor.grad(), grads.at(key), "gradient of " + key);
    parameters.push_back(tensor);
  }
  torch::optim::SGD sgd(parameters, torch::optim::SGDOptions(0.05));
  for (int step = 0; step < 3; ++step) {
    sgd.zero_grad();
    model.loss(given_.input(), labels).backward();
    sgd.step();
  }
  const auto after = given_.part("after.");
  for (const auto& [key, tensor] : model.state_dict()) {
    expect_near(tensor, after.at(key), "after three steps " + key, 1e-4);
  }
}

TEST_P(AdaptionPrompt, GeneratesAndIsSavedAsInPython) {
  auto model = PeftModelForCausalLM::from_pretrained(base(), folder());
  const at::Tensor ids = given_.run.at("input_ids"), mask = given_.run.at("attention_mask");
  std::vector<std::vector<int64_t>> prompts;
  for (int64_t row = 0; row < ids.size(0); ++row) {
    const at::Tensor tokens = ids[row].masked_select(mask[row].ne(0)).contiguous();
    const auto* begin = tokens.const_data_ptr<int64_t>();
    prompts.emplace_back(begin, begin + tokens.numel());
  }
  const auto rows = model.generate(prompts, {.max_new_tokens = 6});
  for (size_t row = 0; row < rows.size(); ++row) {
    EXPECT_TRUE(at::equal(at::tensor(rows[row].tokens, at::kLong),
                          given_.run.at("generated")[static_cast<int64_t>(row)]));
  }
  const TemporaryFolder ours(GetParam());
  model.save_pretrained(ours.path());
  const StateDict written = read_adapter_weights(ours.path());
  const StateDict python = read_adapter_weights(folder());
  ASSERT_EQ(written.size(), python.size());
  for (const auto& [name, tensor] : python) {
    EXPECT_TRUE(at::equal(written.at(name), tensor)) << name;
  }
  Json config = read_json_file(ours.path() / "adapter_config.json");
  config["base_model_name_or_path"] = nullptr;
  EXPECT_EQ(dump_json(config, {.sort_keys = true}),
            dump_json(read_json_file(folder() / "adapter_config.json"), {.sort_keys = true}));
}

INSTANTIATE_TEST_SUITE_P(Cases, AdaptionPrompt,
                         testing::Values("adaption_llama", "adaption_top", "adaption_mistral",
                                         "adaption_gpt2"),
                         [](const auto& info) { return info.param; });

AdaptionPromptConfig prompts(int64_t length, int64_t layers) {
  return {.task_type = "CAUSAL_LM", .adapter_len = length, .adapter_layers = layers};
}

TEST(AdaptionPrompts, TakeTurnsGoOffAndLeaveNothing) {
  const at::NoGradGuard no_grad;
  const auto folder = golden_prompts("adaption_llama");
  const LanguageModelInput input{.input_ids = at::arange(3, 9).unsqueeze(0)};
  LanguageModel base = golden_base("llama");
  const at::Tensor plain = base->forward(input);
  auto model = PeftModelForCausalLM::from_pretrained(base, folder);
  const at::Tensor adapted = model.forward(input);
  EXPECT_FALSE(at::allclose(adapted, plain));
  model.add_adapter("shut", prompts(2, 1));
  EXPECT_TRUE(at::equal(model.forward(input), adapted)) << "a new one is not active";
  model.set_adapter("shut");
  EXPECT_TRUE(at::allclose(model.forward(input), plain)) << "its gate begins at zero";
  EXPECT_THROW(model.set_adapter({"default", "shut"}), ConfigError);
  model.set_adapter("default");
  EXPECT_TRUE(at::equal(model.forward(input), adapted));
  {
    const auto off = model.disable_adapter();
    EXPECT_TRUE(at::equal(model.forward(input), plain));
  }
  EXPECT_TRUE(at::equal(model.forward(input), adapted));
  const CollectedWarnings warnings;
  model.delete_adapter("default");
  EXPECT_TRUE(warnings.tell("Setting active adapter to shut"));
  EXPECT_THROW(model.merge_adapter(), UnsupportedError);
  const LanguageModel left = model.unload();
  EXPECT_TRUE(at::equal(left->forward(input), plain));
  EXPECT_EQ(left->named_parameters().size(), golden_base("llama")->named_parameters().size());
}

TEST(AdaptionPrompts, WhatCannotBeIsRefused) {
  expect_message<UnsupportedError>({"unsupported model type", "'qwen3'"}, [] {
    PeftModelForCausalLM(golden_base("qwen3"), prompts(2, 1));
  });
  expect_message<ConfigError>({"adapter_layers", "at most 2", "got 3"},
                              [] { PeftModelForCausalLM(golden_base("llama"), prompts(2, 3)); });
  AdaptionPromptConfig other = prompts(2, 1);
  other.target_modules = "mlp";
  expect_message<UnsupportedError>({"mlp", "TakesAttentionAddition"},
                                   [&] { PeftModelForCausalLM(golden_base("llama"), other); });
  expect_message<ConfigError>({"adapter_len", "null"},
                              [] { AdaptionPromptConfig{.adapter_layers = 1}.validate(); });
  const LanguageModel narrow = golden_base("llama");
  narrow->to(at::kBFloat16);
  PeftModelForCausalLM model(narrow, prompts(2, 1));
  EXPECT_EQ(model.trainable_parameters().front().second.scalar_type(), at::kBFloat16);
  EXPECT_NO_THROW(
      model.loss({.input_ids = at::arange(6).unsqueeze(0)}, at::arange(6).unsqueeze(0)).backward());
}

}  // namespace
}  // namespace peft
