// LoRA on encoders, on encoder-decoders and decoders without a language head, and on vision
// transformers: output, merge, gradients, steps, files and keys as Python PEFT's; what was trained
// and saved is loaded again with the same scores.

#include <gtest/gtest.h>

#include "peft/models/common/image_model.h"
#include "peft/peft_model_for_feature_extraction.h"
#include "peft/peft_model_for_question_answering.h"
#include "peft/peft_model_for_sequence_classification.h"
#include "peft/peft_model_for_token_classification.h"
#include "tests/front/golden_run.h"
#include "tests/models/contract.h"

namespace peft {
namespace {

using namespace test;  // NOLINT: what the golden tests share

class EncoderFamilies : public testing::TestWithParam<const char*> {
 protected:
  EncoderFamilies()
      : folder(std::filesystem::path(PEFT_SOURCE_DIR) / "tests/front/golden_encoders" / GetParam()),
        contract(Contract::read(GetParam())) {}

  template <typename Model>
  std::shared_ptr<Model> base_model() const {
    return std::dynamic_pointer_cast<Model>(contract.model());
  }

  template <typename Adapted, typename Model, typename Forward>
  void expect_like_python(Forward forward) const {
    const StateDict run = tensors_of(folder / "run.safetensors");
    auto model = Adapted::from_pretrained(base_model<Model>(), folder, {.is_trainable = true});
    model.get_base_model()->eval();
    expect_same_files(model, folder);
    expect_training_like_python(model, run, [&](const at::Tensor& x) { return forward(model, x); });
    const TemporaryFolder saved("encoder_families");
    model.save_pretrained(saved.path());
    auto again = Adapted::from_pretrained(base_model<Model>(), saved.path());
    const at::NoGradGuard no_grad;
    EXPECT_TRUE(at::equal(forward(again, run.at("input")), forward(model, run.at("input"))));
  }

  // A new adapter begins as the base computes, on the modules that the golden one names.
  template <typename Adapted, typename Model>
  void expect_default_targets() const {
    const PeftConfig golden = read_adapter_config(folder);
    PeftConfig config = LoraConfig{.task_type = *golden.shared().task_type, .r = 2};
    const Adapted model(base_model<Model>(), config);
    const StateDict names = model.state_dict();
    for (const auto& [key, tensor] : tensors_of(folder / "adapter_model.safetensors")) {
      EXPECT_TRUE(names.contains(key)) << key;
    }
  }

  std::filesystem::path folder;
  Contract contract;
};

const auto kScores = [](auto& model, const at::Tensor& ids) {
  return model.forward({.input_ids = ids});
};

class SequenceFamilies : public EncoderFamilies {};

TEST_P(SequenceFamilies, ComputeTrainSaveAndLoadAsPythonDoes) {
  expect_like_python<PeftModelForSequenceClassification, TaskModelImpl>(kScores);
}

INSTANTIATE_TEST_SUITE_P(Golden, SequenceFamilies,
                         testing::Values("bert_labels", "xlm_roberta_classes",
                                         "distilbert_sequence_classification", "t5_sequences",
                                         "bart_sequences"),
                         [](const auto& info) { return std::string(info.param); });

class DefaultTargets : public EncoderFamilies {};

TEST_P(DefaultTargets, AreThoseOfTheModelType) {
  if (contract.task == ModelTask::kQuestionAnswering) {
    expect_default_targets<PeftModelForQuestionAnswering, TaskModelImpl>();
  } else {
    expect_default_targets<PeftModelForSequenceClassification, TaskModelImpl>();
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, DefaultTargets,
                         testing::Values("bert_labels", "roberta_question_answering",
                                         "bart_answers"),
                         [](const auto& info) { return std::string(info.param); });

class TokenFamilies : public EncoderFamilies {};

TEST_P(TokenFamilies, ComputeTrainSaveAndLoadAsPythonDoes) {
  expect_like_python<PeftModelForTokenClassification, TaskModelImpl>(kScores);
}

INSTANTIATE_TEST_SUITE_P(Golden, TokenFamilies,
                         testing::Values("bert_token_classification", "t5_tokens", "llama_tokens"),
                         [](const auto& info) { return std::string(info.param); });

class AnswerFamilies : public EncoderFamilies {};

TEST_P(AnswerFamilies, ComputeTrainSaveAndLoadAsPythonDoes) {
  expect_like_python<PeftModelForQuestionAnswering, TaskModelImpl>(kScores);
}

INSTANTIATE_TEST_SUITE_P(Golden, AnswerFamilies,
                         testing::Values("roberta_question_answering",
                                         "distilbert_question_answering", "t5_answers",
                                         "bart_answers"),
                         [](const auto& info) { return std::string(info.param); });

class BodyFamilies : public EncoderFamilies {};

TEST_P(BodyFamilies, ComputeTrainSaveAndLoadAsPythonDoes) {
  expect_like_python<PeftModelForFeatureExtraction, EncoderModelImpl>(
      [](auto& model, const at::Tensor& ids) {
        return model.forward({.input_ids = ids}).last_hidden_state;
      });
}

INSTANTIATE_TEST_SUITE_P(Golden, BodyFamilies,
                         testing::Values("roberta_body", "t5_encoder", "mt5_encoder", "bart_body",
                                         "llama_body"),
                         [](const auto& info) { return std::string(info.param); });

class ImageFamilies : public EncoderFamilies {};

TEST_P(ImageFamilies, ComputeTrainSaveAndLoadAsPythonDoes) {
  expect_like_python<PeftModelFor<ImageClassifier>, ImageClassifierImpl>(
      [](auto& model, const at::Tensor& pixels) { return model.forward(pixels); });
}

INSTANTIATE_TEST_SUITE_P(Golden, ImageFamilies, testing::Values("vit_classes"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace peft
