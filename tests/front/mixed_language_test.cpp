// Language models with several adapters: rows with their own in forward and generate, and
// checkpointing with an adapter.

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "peft/base/error.h"
#include "peft/models/registry.h"
#include "peft/peft_mixed_model.h"
#include "peft/peft_model_for_causal_lm.h"

namespace peft {
namespace {

using Rows = std::vector<std::vector<int64_t>>;

LanguageModel small_llama() {
  torch::manual_seed(5);
  const Json config = {{"model_type", "llama"},
                       {"vocab_size", 40},
                       {"hidden_size", 16},
                       {"intermediate_size", 24},
                       {"num_hidden_layers", 2},
                       {"num_attention_heads", 4},
                       {"num_key_value_heads", 2},
                       {"max_position_embeddings", 64},
                       {"tie_word_embeddings", false},
                       {"rms_norm_eps", 1e-5}};
  LanguageModel model = make_language_model(config);
  const at::NoGradGuard no_grad;
  for (auto& item : model->named_parameters()) {
    item.value().normal_(item.value().dim() == 1 ? 1.0 : 0.0, 0.3);
  }
  model->eval();
  return model;
}

PeftModelForCausalLM with_adapters() {
  torch::manual_seed(6);
  LoraConfig config{.r = 3, .target_modules = "all-linear", .init_lora_weights = false};
  PeftModelForCausalLM model(small_llama(), config, {.adapter_name = "a"});
  config.r = 2;
  config.target_modules = TargetModules{"q_proj", "embed_tokens", "lm_head"};
  model.add_adapter("b", config);
  model.eval();
  return model;
}

template <typename Work>
auto alone(PeftModelForCausalLM& model, const std::string& name, const Work& work) {
  if (name == "__base__") {
    const auto off = model.disable_adapter();
    return work();
  }
  model.set_adapter(name);
  return work();
}

const std::vector<std::string> kRowNames = {"b", "__base__", "a", "b", "a"};

TEST(MixedLanguage, LogitsAreThoseOfTheRowsAlone) {
  auto model = with_adapters();
  const at::NoGradGuard no_grad;
  const at::Tensor ids = at::randint(1, 40, {5, 7}, at::kLong);
  std::vector<at::Tensor> rows;
  for (size_t i = 0; i < kRowNames.size(); ++i) {
    const at::Tensor row = ids.narrow(0, static_cast<int64_t>(i), 1);
    rows.push_back(alone(model, kRowNames[i], [&] { return model.forward({.input_ids = row}); }));
  }
  EXPECT_LT(
      (model.forward({.input_ids = ids}, kRowNames) - at::cat(rows)).abs().max().item<double>(),
      1e-4);
  EXPECT_THROW(model.forward({.input_ids = ids}, {"a", "b"}), MismatchError);
}

TEST(MixedLanguage, GenerationGivesEachRowItsAdapterToItsEnd) {
  auto model = with_adapters();
  const Rows prompts = {{3, 7, 9}, {4, 4}, {5, 6, 7, 8}, {11}, {12, 3}};
  // Rows end at different times, and those that go on keep their adapters.
  const GenerateOptions options{.max_new_tokens = 12, .stop_token_ids = {1, 2, 3, 4, 5, 6, 7, 8}};
  const auto together = model.generate(prompts, options, kRowNames);
  bool unequal_lengths = false;
  for (size_t i = 0; i < prompts.size(); ++i) {
    const auto one =
        alone(model, kRowNames[i], [&] { return model.generate({prompts[i]}, options).front(); });
    EXPECT_EQ(together[i].tokens, one.tokens) << "row " << i << ", " << kRowNames[i];
    unequal_lengths |= together[i].tokens.size() != together[0].tokens.size();
  }
  EXPECT_TRUE(unequal_lengths);
  EXPECT_THROW(model.generate(prompts, options, {"a"}), MismatchError);
  EXPECT_THROW(model.generate({{1}}, options, {"c"}), NotFoundError);
}

TEST(MixedLanguage, AMixedModelComputesAndGeneratesWithSeveralAdaptersAtOnce) {
  auto model = with_adapters();
  model.set_adapter({"a", "b"});
  LanguageModel other = small_llama();
  auto mixed = get_peft_model(other, model.peft_config("a"), kMixed, "a");
  mixed.add_adapter("b", model.peft_config("b"));
  for (const char* name : {"a", "b"}) mixed.load_state_dict(model.state_dict(name), name);
  mixed.set_adapter({"a", "b"});
  mixed.eval();
  const at::NoGradGuard no_grad;
  const at::Tensor ids = at::randint(1, 40, {2, 7}, at::kLong);
  EXPECT_LT(
      (mixed.forward(LanguageModelInput{.input_ids = ids}) - model.forward({.input_ids = ids}))
          .abs()
          .max()
          .item<double>(),
      1e-5);
  const Rows prompts = {{3, 7, 9}, {4, 4}};
  const auto ours = generate(mixed, prompts, {.max_new_tokens = 8});
  const auto theirs = model.generate(prompts, {.max_new_tokens = 8});
  for (size_t i = 0; i < prompts.size(); ++i) EXPECT_EQ(ours[i].tokens, theirs[i].tokens) << i;
}

TEST(Checkpointing, GivesTheSameGradientsWithAnAdapter) {
  const at::Tensor ids = at::randint(1, 40, {2, 9}, at::kLong);
  std::vector<std::vector<at::Tensor>> gradients;
  for (const bool on : {false, true}) {
    auto model = with_adapters();
    model.train();
    model.get_base_model()->set_gradient_checkpointing(on);
    model.loss_sum({.input_ids = ids}, ids).backward();
    gradients.emplace_back();
    for (const auto& [name, tensor] : model.trainable_parameters()) {
      ASSERT_TRUE(tensor.grad().defined()) << name;
      gradients.back().push_back(tensor.grad());
    }
  }
  ASSERT_EQ(gradients[0].size(), gradients[1].size());
  EXPECT_GT(gradients[0].size(), 20u);
  for (size_t i = 0; i < gradients[0].size(); ++i) {
    EXPECT_TRUE(at::allclose(gradients[0][i], gradients[1][i], 1e-6, 1e-7)) << i;
  }
}

}  // namespace
}  // namespace peft
