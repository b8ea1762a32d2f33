// Adapters on a language model whose head is its embedding: output, gradients, steps, keys, and
// what is left after merge_and_unload, all as in Python.

#include <gtest/gtest.h>

#include "peft/peft_model_for_causal_lm.h"
#include "tests/front/tied_models.h"
#include "tests/support/collected_warnings.h"

namespace peft {
namespace {

using namespace test;  // NOLINT: what the golden tests share

class TiedCase : public testing::TestWithParam<const char*> {};

TEST_P(TiedCase, ComputesTrainsAndSavesAsPythonDoes) {
  const auto folder = tied_case(GetParam());
  const StateDict run = tensors_of(folder / "run.safetensors");
  const LanguageModel base_model = tied_model();
  const size_t parameters = base_model->named_parameters().size();
  auto model = PeftModelForCausalLM::from_pretrained(base_model, folder, {.is_trainable = true});
  expect_same_files(model, folder);
  expect_training_like_python(
      model, run, [&](const at::Tensor& ids) { return model.forward({.input_ids = ids}); });
  model.unload();
  const bool tied = run.at("unloaded_tied").item<bool>();
  EXPECT_EQ(base_model->named_parameters().size(), parameters + (tied ? 0 : 1));
}

TEST_P(TiedCase, MergesAndUnloadsAsPythonDoes) {
  const auto folder = tied_case(GetParam());
  const StateDict run = tensors_of(folder / "run.safetensors");
  auto model = PeftModelForCausalLM::from_pretrained(tied_model(), folder);
  const CollectedWarnings warnings;
  const LanguageModel plain = model.merge_and_unload(/*safe_merge=*/true);
  expect_unloaded_like_python(plain, run);
  EXPECT_EQ(warnings.tell("no longer tied"), !run.at("unloaded_tied").item<bool>());
  const at::Tensor logits = plain->forward({.input_ids = run.at("input")});
  auto again = get_peft_model(plain, LoraConfig{.task_type = "CAUSAL_LM"});
  expect_close(again->forward({.input_ids = run.at("input")}), logits, "adapted anew");
}

INSTANTIATE_TEST_SUITE_P(Golden, TiedCase,
                         testing::Values("save_head", "save_embedding", "save_both", "lora_head",
                                         "lora_embedding", "lora_both", "lora_embedding_save_head",
                                         "lora_pattern"),
                         [](const auto& info) { return std::string(info.param); });

TEST(Tied, TheConfigWarnsWhereATiedLayerIsAdapted) {
  for (const LoraConfig& config :
       {LoraConfig{.target_modules = {"lm_head"}},
        LoraConfig{.target_modules = "(embed_tokens|.*q_proj)"},
        LoraConfig{.target_modules = {"q_proj"},
        .modules_to_save = std::vector<std::string>{"model.embed_tokens"}}}) {
    const CollectedWarnings warnings;
    get_peft_model(tied_model(), config);
    EXPECT_TRUE(warnings.tell("tie_word_embeddings=True")) << config.target_modules.text();
  }
  const CollectedWarnings warnings;
  get_peft_model(tied_model(), LoraConfig{.target_modules = {"q_proj"}});
  EXPECT_FALSE(warnings.tell("tie_word_embeddings=True"));
}

TEST(Tied, AnAdaptersFileTellsWhereItsModelWasLoadedFrom) {
  LanguageModel model = tied_model();
  model->set_name_or_path("models/small");
  auto adapted = get_peft_model(model, LoraConfig{.target_modules = {"q_proj"}});
  const TemporaryFolder folder("name");
  adapted.save_pretrained(folder.path());
  const auto config = read_adapter_config(folder.path());
  EXPECT_EQ(*config.shared().base_model_name_or_path, "models/small");
}

}  // namespace
}  // namespace peft
