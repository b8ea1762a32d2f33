#pragma once

#include <filesystem>
#include <string>

#include "peft/models/registry.h"
#include "peft/peft_model_for_causal_lm.h"
#include "peft/tensor/tag_key.h"
#include "tests/front/golden_run.h"

namespace peft::test {

inline std::filesystem::path tied_case(const std::string& name) {
  return std::filesystem::path(PEFT_SOURCE_DIR) / "tests/front/golden_tied" / name;
}

/// A checkpoint's folder as a model.
inline LanguageModel model_of(const std::filesystem::path& folder) {
  LanguageModel model = make_language_model(read_json_file(folder / "config.json"));
  const auto weights = tensors_of(folder / "model.safetensors");
  const at::NoGradGuard no_grad;
  for (auto& item : model->named_parameters()) item.value().copy_(weights.at(item.key()));
  model->to(test_device());
  model->eval();
  return model;
}

/// The model whose head is its embedding.
inline LanguageModel tied_model() { return model_of(tied_case("base")); }

/// What merge_and_unload leaves computes as in Python, is tied where Python's is, and holds nothing
/// of an adapter.
inline void expect_unloaded_like_python(const LanguageModel& plain, const StateDict& run) {
  expect_close(plain->forward({.input_ids = run.at("input")}), run.at("unloaded"), "logits");
  const bool tied = run.at("unloaded_tied").item<bool>();
  EXPECT_EQ(plain->config().value("tie_word_embeddings", false), tied);
  EXPECT_EQ(plain->named_parameters().contains("lm_head.weight"), !tied);
  for (const auto& item : plain->named_parameters()) {
    EXPECT_FALSE(is_tagged(item.value())) << item.key();
    EXPECT_EQ(item.key().find("lora_"), std::string::npos) << item.key();
  }
}

}  // namespace peft::test
