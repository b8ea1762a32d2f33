#pragma once

#include <torch/torch.h>

#include <map>
#include <string>

#include "peft/auto.h"
#include "peft/base/json_text.h"
#include "peft/formats/safetensors_file.h"
#include "peft/methods/registry.h"
#include "peft/peft_model_for_causal_lm.h"

namespace peft::test {

/// A folder of tests/front/golden_prompts, which golden_prompts.py wrote.
inline std::filesystem::path golden_prompts(const std::string& name) {
  return std::filesystem::path(PEFT_SOURCE_DIR) / "tests/front/golden_prompts" / name;
}

/// A tiny base model: "llama", "qwen3", "mistral" or "gpt2".
inline LanguageModel golden_base(const std::string& name) {
  return load_language_model(formats::Checkpoint::open(golden_prompts("bases") / name));
}

/// One case: what Python computed, and the same model here.
struct PromptCase {
  explicit PromptCase(const std::string& case_name) : name(case_name) {
    for (const auto& [key, tensor] :
         formats::SafetensorsFile(golden_prompts(name) / "run.safetensors").load_all()) {
      run.set(key, tensor);
    }
  }

  LanguageModel base() const {
    return golden_base(read_json_file(golden_prompts("cases.json"))[name].get<std::string>());
  }

  /// The config as it was before it was put on a model, its places filled in.
  PeftConfig config() const {
    Json file = read_json_file(golden_prompts(name) / "config.json");
    for (auto& [key, value] : file.items()) {
      if (value == "{base}") value = (golden_prompts("bases") / "llama").string();
      if (value == "{source}") {
        value = (golden_prompts("multitask") / "adapter_model.safetensors").string();
      }
    }
    return parse_config(file, name + "/config.json");
  }

  /// The entries of the run that begin with a word, without it.
  std::map<std::string, at::Tensor> part(const std::string& word) const {
    std::map<std::string, at::Tensor> found;
    for (const auto& [key, tensor] : run) {
      if (key.starts_with(word)) found[key.substr(word.size())] = tensor;
    }
    return found;
  }

  at::Tensor find(const std::string& key) const {
    const at::Tensor* found = run.find(key);
    return found == nullptr ? at::Tensor() : *found;
  }

  LanguageModelInput input() const {
    return {.input_ids = run.at("input_ids"), .attention_mask = run.at("attention_mask")};
  }
  CausalLMCall call() const {
    return {.task_ids = find("task_ids"), .input_type_mask = find("input_type_mask")};
  }

  std::string name;
  StateDict run;
};

/// The parameters of a model's prompt encoder, by their names.
inline std::map<std::string, at::Tensor> encoder_of(const PeftModel& model,
                                                    const std::string& adapter = "default") {
  std::map<std::string, at::Tensor> found;
  for (const auto& entry : model.prompt_encoder().at(adapter)->named_parameters()) {
    found[entry.key()] = entry.value();
  }
  return found;
}

/// A new adapter of the case with the values that Python's had.
inline PeftModelForCausalLM learning_model(const PromptCase& given) {
  PeftModelForCausalLM model(given.base(), given.config());
  const at::NoGradGuard no_grad;
  const auto values = given.part("encoder.");
  for (auto& [name, tensor] : encoder_of(model)) tensor.copy_(values.at(name));
  return model;
}

inline void expect_near(const at::Tensor& ours, const at::Tensor& python, const std::string& what,
                        double tolerance = 2e-5) {
  ASSERT_TRUE(ours.defined()) << what;
  ASSERT_EQ(ours.sizes(), python.sizes()) << what;
  if (ours.numel() == 0) return;
  const at::Tensor a = ours.detach().to(at::kDouble), b = python.to(at::kDouble);
  const double scale = std::max(1.0, b.abs().max().item<double>());
  EXPECT_LT((a - b).abs().max().item<double>(), tolerance * scale) << what;
}

}  // namespace peft::test
