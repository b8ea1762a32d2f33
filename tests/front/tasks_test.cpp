#include <gtest/gtest.h>
#include <torch/torch.h>

#include <map>

#include "peft/auto_peft_model.h"
#include "peft/base/json_text.h"
#include "peft/formats/safetensors_file.h"
#include "tests/front/support.h"

namespace peft {
namespace {

constexpr double kTaskTolerance = 2e-5;
constexpr double kTaskStepTolerance = 2e-4;  // of what three optimiser steps made

std::filesystem::path golden_tasks(const std::string& name) {
  return std::filesystem::path(PEFT_SOURCE_DIR) / "tests/front/golden_tasks" / name;
}

ModelTask model_task(const std::string& task_type) {
  static const std::map<std::string, ModelTask> tasks = {
      {"SEQ_CLS", ModelTask::kSequenceClassification},
      {"TOKEN_CLS", ModelTask::kTokenClassification},
      {"QUESTION_ANS", ModelTask::kQuestionAnswering},
      {"FEATURE_EXTRACTION", ModelTask::kBody}};
  return tasks.at(task_type);
}

double difference(const at::Tensor& ours, const at::Tensor& python) {
  if (ours.sizes() != python.sizes()) return std::numeric_limits<double>::infinity();
  const at::Tensor a = ours.detach().to(at::kDouble), b = python.to(at::kDouble);
  const double scale = b.numel() == 0 ? 1.0 : std::max(1.0, b.abs().max().item<double>());
  return b.numel() == 0 ? 0.0 : (a - b).abs().max().item<double>() / scale;
}

/// One case: what Python computed.
struct TaskCase {
  explicit TaskCase(const std::string& case_name) : name(case_name) {
    const Json facts = read_json_file(golden_tasks("cases.json"))[name];
    base_folder = golden_tasks("bases") / facts["base"].get<std::string>();
    task = facts["task"].get<std::string>();
    run = formats::SafetensorsFile(golden_tasks(name) / "run.safetensors").load_all();
  }

  at::Tensor find(const std::string& key) const {
    const at::Tensor* found = run.find(key);
    return found == nullptr ? at::Tensor() : *found;
  }
  EncoderInput input() const {
    return {.input_ids = find("input_ids"),
            .attention_mask = find("attention_mask"),
            .token_type_ids = find("token_type_ids")};
  }
  TaskCall call() const { return {.task_ids = find("task_ids")}; }

  template <typename Model>
  std::shared_ptr<Model> base() const {
    return load_model_as<Model>(formats::Checkpoint::open(base_folder), model_task(task));
  }

  std::string name, task;
  std::filesystem::path base_folder;
  StateDict run;
};

/// A model of any of the four classes, as the cases need it.
class AnyTaskModel {
 public:
  explicit AnyTaskModel(const TaskCase& given) : given_(given) {
    // A prompt of a file does not learn: it is a new adapter with the file's values.
    const auto folder = golden_tasks(given.name);
    PeftConfig config = read_adapter_config(folder);
    *config.shared().inference_mode = false;
    if (given.task == "SEQ_CLS") {
      open(std::make_shared<PeftModelForSequenceClassification>(given.base<TaskModelImpl>(),
                                                                config));
    } else if (given.task == "TOKEN_CLS") {
      open(std::make_shared<PeftModelForTokenClassification>(given.base<TaskModelImpl>(), config));
    } else if (given.task == "QUESTION_ANS") {
      open(std::make_shared<PeftModelForQuestionAnswering>(given.base<TaskModelImpl>(), config));
    } else {
      open(std::make_shared<PeftModelForFeatureExtraction>(given.base<EncoderModelImpl>(), config));
    }
    model->load_state_dict(
        formats::SafetensorsFile(folder / "adapter_model.safetensors").load_all());
    model->train();
  }

  at::Tensor scores() { return scores_(); }
  at::Tensor loss() { return loss_(); }
  std::shared_ptr<PeftModel> model;

 private:
  template <typename Model>
  void open(std::shared_ptr<Model> opened) {
    model = opened;
    if constexpr (std::is_same_v<Model, PeftModelForFeatureExtraction>) {
      scores_ = [this, opened] {
        return opened->forward(given_.input(), given_.call()).last_hidden_state;
      };
      loss_ = [this] { return scores_().square().mean(); };
    } else if constexpr (std::is_same_v<Model, PeftModelForQuestionAnswering>) {
      scores_ = [this, opened] { return opened->forward(given_.input(), given_.call()); };
      loss_ = [this, opened] {
        return opened->loss(given_.input(), given_.find("start_positions"),
                            given_.find("end_positions"), given_.call());
      };
    } else {
      scores_ = [this, opened] { return opened->forward(given_.input(), given_.call()); };
      loss_ = [this, opened] {
        return opened->loss(given_.input(), given_.find("labels"), given_.call());
      };
    }
  }

  const TaskCase& given_;
  std::function<at::Tensor()> scores_, loss_;
};

std::vector<std::string> task_cases() {
  std::vector<std::string> names;
  const Json cases = read_json_file(golden_tasks("cases.json"));
  for (const auto& [name, facts] : cases.items()) {
    names.push_back(name);
  }
  return names;
}

class GoldenTasks : public testing::TestWithParam<std::string> {
 protected:
  TaskCase given{GetParam()};
};

TEST_P(GoldenTasks, ScoresAndLossEqualPythons) {
  AnyTaskModel ours(given);
  EXPECT_LT(difference(ours.scores(), given.find("logits")), kTaskTolerance);
  EXPECT_LT(difference(ours.loss(), given.find("loss")), kTaskTolerance);
}

TEST_P(GoldenTasks, GradientsEqualPythonsAndNothingElseLearns) {
  AnyTaskModel ours(given);
  ours.loss().backward();
  size_t learning = 0;
  for (const auto& [name, tensor] : ours.model->trainable_parameters()) {
    const at::Tensor expected = given.find("grad." + name);
    ASSERT_TRUE(expected.defined()) << name;
    ASSERT_TRUE(tensor.grad().defined()) << name;
    EXPECT_LT(difference(tensor.grad(), expected), kTaskTolerance) << name;
    ++learning;
  }
  size_t wanted = 0;
  for (const auto& [key, tensor] : given.run) wanted += key.starts_with("grad.") ? 1 : 0;
  EXPECT_EQ(learning, wanted);
}

TEST_P(GoldenTasks, ThreeStepsEndWherePythonsEnd) {
  AnyTaskModel ours(given);
  std::vector<at::Tensor> learning;
  for (const auto& [name, tensor] : ours.model->trainable_parameters()) learning.push_back(tensor);
  torch::optim::AdamW optimizer(learning,
                                torch::optim::AdamWOptions(0.01).weight_decay(0.0).eps(1e-3));
  for (int step = 0; step < 3; ++step) {
    optimizer.zero_grad();
    ours.loss().backward();
    optimizer.step();
  }
  for (const auto& [name, tensor] : ours.model->trainable_parameters()) {
    EXPECT_LT(difference(tensor, given.find("after." + name)), kTaskStepTolerance) << name;
  }
  EXPECT_LT(difference(ours.scores(), given.find("after_logits")), 10 * kTaskStepTolerance);
}

TEST_P(GoldenTasks, WhatIsSavedIsWhatPythonSaved) {
  AnyTaskModel ours(given);
  const test::TemporaryFolder folder("task");
  ours.model->save_pretrained(folder.path());
  const auto python =
      formats::SafetensorsFile(golden_tasks(given.name) / "adapter_model.safetensors").load_all();
  const auto saved =
      formats::SafetensorsFile(folder.path() / "adapter_model.safetensors").load_all();
  EXPECT_EQ(saved.size(), python.size());
  for (const auto& [name, tensor] : python) {
    ASSERT_TRUE(saved.contains(name)) << name;
    EXPECT_TRUE(at::equal(saved.at(name), tensor)) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, GoldenTasks, testing::ValuesIn(task_cases()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace peft
