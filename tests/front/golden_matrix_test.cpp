// Every method on a model of every family and task, against Python: outputs, losses, gradients,
// three steps, files, and what is refused. A method enrols by its line in methods.def, a family by
// its files in tests/models/contract.

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <array>
#include <map>
#include <string_view>

#include "peft/adapter_folder.h"
#include "peft/base/error.h"
#include "peft/methods/registry.h"
#include "tests/front/contract_task.h"
#include "tests/front/support.h"
#include "tests/support/collected_warnings.h"

namespace peft {
namespace {

using test::AnyTaskModel;
using test::Contract;
using test::relative_error;
using test::TaskBatch;

constexpr double kMatrixTolerance = 2e-5;
constexpr double kMatrixGradientTolerance = 1e-4;
constexpr double kMatrixStepTolerance = 2e-4;  // of what three optimiser steps made

/// What works here though Python fails, with what, and why.
struct AllowedHere {
  std::string_view method, task_type, python, reason;
};
constexpr std::array kAllowedHere{
    AllowedHere{"multitask_prompt_tuning", "QUESTION_ANS", "task_ids cannot be None",
                "the class takes task_ids and does not pass them on"},
    AllowedHere{"multitask_prompt_tuning", "FEATURE_EXTRACTION", "task_ids cannot be None",
                "the class takes task_ids and does not pass them on"},
    AllowedHere{"adaption_prompt", "QUESTION_ANS", "'NoneType' object is not iterable",
                "the class looks for its head in a field that the config lacks"},
    AllowedHere{"adaption_prompt", "TOKEN_CLS", "'NoneType' object is not iterable",
                "the class looks for its head in a field that the config lacks"},
    AllowedHere{"cpt", "CAUSAL_LM", "The size of tensor a",
                "embeddings narrower than the model: the config forgets the width it is told"},
};

const AllowedHere* allowed_here(const std::string& method, const Json& facts) {
  const auto text = facts.value("refused", std::string());
  const auto found = std::find_if(kAllowedHere.begin(), kAllowedHere.end(), [&](const auto& one) {
    return one.method == method && one.task_type == facts.at("task_type").get<std::string>() &&
           text.find(one.python) != std::string::npos;
  });
  return found == kAllowedHere.end() ? nullptr : &*found;
}

/// A file of tests/front/golden_matrix, which golden_matrix.py wrote.
struct MatrixFile {
  explicit MatrixFile(const std::string& method)
      : golden(test::GoldenFile::open(PEFT_SOURCE_DIR "/tests/front/golden_matrix/" + method +
                                      ".safetensors")),
        cases(Json::parse(golden.metadata.at("cases"))) {}

  static const MatrixFile& of(const std::string& method) {
    static std::map<std::string, MatrixFile> files;
    const auto found = files.find(method);
    return (found != files.end() ? found : files.emplace(method, method).first)->second;
  }

  test::GoldenFile golden;
  Json cases;
};

struct MatrixCase {
  std::string method, model;
};
void PrintTo(const MatrixCase& one, std::ostream* out) { *out << one.method << " " << one.model; }

std::vector<MatrixCase> matrix_cases() {
  std::vector<MatrixCase> cases;
  for (const Method* method : all_methods()) {
    const std::string folder(method_folder(*method));
    for (const auto& [model, facts] : MatrixFile::of(folder).cases.items()) {
      cases.push_back({folder, model});
    }
  }
  return cases;
}

class GoldenMatrix : public testing::TestWithParam<MatrixCase> {
 protected:
  bool is_refused() const { return facts.contains("refused"); }
  std::string task() const { return facts.at("task_type").get<std::string>(); }

  /// The fields of a model's shape are left to the library, even where Python has to be told.
  PeftConfig config() const {
    Json object = facts.at("config");
    for (const char* field : {"num_layers", "num_attention_heads", "token_dim"}) {
      if (object.contains(field)) object[field] = nullptr;
    }
    return parse_config(object, GetParam().method);
  }

  /// What Python calls a parameter: an adaption prompt's has no name of an adapter.
  static std::string python_name(const std::string& name) {
    constexpr std::string_view kAdapter = ".default";
    return name.ends_with(kAdapter) ? name.substr(0, name.size() - kAdapter.size()) : name;
  }

  at::Tensor find(const std::string& name) const {
    const auto found = matrix.golden.tensors.find(GetParam().model + "/" + name);
    return found == matrix.golden.tensors.end() ? at::Tensor() : found->second;
  }
  /// The tensors whose names begin with a word, without it.
  std::map<std::string, at::Tensor> part(const std::string& word) const {
    const std::string prefix = GetParam().model + "/" + word;
    std::map<std::string, at::Tensor> found;
    for (auto it = matrix.golden.tensors.lower_bound(prefix);
         it != matrix.golden.tensors.end() && it->first.starts_with(prefix); ++it) {
      found[it->first.substr(prefix.size())] = it->second;
    }
    return found;
  }

  TaskBatch batch() const {
    TaskBatch batch = test::batch_of(contract);
    if (!batch.labels.defined()) batch.labels = find("labels");
    batch.start = find("start_positions");
    batch.end = find("end_positions");
    if (GetParam().method == "multitask_prompt_tuning") {
      batch.task_ids = at::tensor({2, 0}, at::kLong);
    }
    return batch;
  }

  /// A new adapter with the values that Python's had, in training mode.
  AnyTaskModel learning_model() const {
    AnyTaskModel model(contract.model(), task(), config());
    auto values = part("start.");
    const at::NoGradGuard no_grad;
    for (const auto& [name, tensor] : model->named_parameters()) {
      const auto value = values.find(python_name(name));
      if (value == values.end()) continue;
      tensor.copy_(value->second);
      values.erase(value);
    }
    for (const auto& [name, tensor] : values) ADD_FAILURE() << "nobody has " << name;
    model->train();
    return model;
  }

  const MatrixFile& matrix = MatrixFile::of(GetParam().method);
  const Json facts = matrix.cases.at(GetParam().model);
  const Contract contract = Contract::read(GetParam().model);
  const test::CollectedWarnings warnings;  // of what Python warns of, too
};

TEST_P(GoldenMatrix, ScoresAndLossEqualPythons) {
  if (is_refused()) return;
  auto model = learning_model();
  EXPECT_LT(relative_error(model.scores(batch()), find("scores")), kMatrixTolerance);
  EXPECT_LT(relative_error(model.loss(batch()).reshape({1}), find("loss")), kMatrixTolerance);
}

TEST_P(GoldenMatrix, GradientsAndThreeStepsEqualPythonsAndNothingElseLearns) {
  if (is_refused()) return;
  auto model = learning_model();
  model.loss(batch()).backward();
  std::vector<at::Tensor> learning;
  for (const auto& [ours, tensor] : model->named_parameters()) {
    const std::string name = python_name(ours);
    const at::Tensor expected = find("grad." + name);
    EXPECT_EQ(tensor.requires_grad(), find("after." + name).defined()) << name;
    EXPECT_EQ(tensor.grad().defined(), expected.defined()) << name;
    if (tensor.requires_grad()) learning.push_back(tensor);
    if (!expected.defined() || !tensor.grad().defined()) continue;
    EXPECT_LT(relative_error(tensor.grad(), expected), kMatrixGradientTolerance) << name;
  }
  EXPECT_EQ(learning.size(), part("after.").size());
  torch::optim::AdamW optimizer(learning,
                                torch::optim::AdamWOptions(0.01).weight_decay(0.0).eps(1e-3));
  for (int step = 0; step < 3; ++step) {
    optimizer.zero_grad();
    model.loss(batch()).backward();
    optimizer.step();
  }
  for (const auto& [name, tensor] : model->trainable_parameters()) {
    EXPECT_LT(relative_error(tensor, find("after." + python_name(name))), kMatrixStepTolerance)
        << name;
  }
}

TEST_P(GoldenMatrix, FilesHoldWhatPythonsHoldAndComeBack) {
  if (is_refused()) return;
  auto model = learning_model();
  const test::TemporaryFolder folder("matrix_" + GetParam().method + "_" + GetParam().model);
  model->save_pretrained(folder.path());
  const StateDict written = read_adapter_weights(folder.path());
  const auto python = part("saved.");
  EXPECT_EQ(written.size(), python.size());
  for (const auto& [key, tensor] : python) {
    ASSERT_TRUE(written.contains(key)) << key;
    EXPECT_LT(relative_error(written.at(key), tensor), 1e-6) << key;
  }
  const Json config = model->active_peft_config().to_json();
  for (const auto& [field, value] : facts.at("completed").items()) {
    Json ours = config.at(field);
    if (ours.is_array()) std::sort(ours.begin(), ours.end());
    EXPECT_EQ(ours, value) << field;
  }
  AnyTaskModel again(contract.model(), task(), folder.path(), FromPretrainedOptions{});
  EXPECT_LT(relative_error(again.scores(batch()), find("scores")), kMatrixTolerance);
}

TEST_P(GoldenMatrix, WhatPythonRefusesIsRefused) {
  if (!is_refused() || allowed_here(GetParam().method, facts) != nullptr) return;
  EXPECT_THROW(
      {
        AnyTaskModel model(contract.model(), task(), config());
        model.scores(batch());
      },
      Error)
      << facts.at("refused");
}

TEST_P(GoldenMatrix, WhatIsAllowedHereLearnsAloneAndComesBack) {
  if (allowed_here(GetParam().method, facts) == nullptr) return;
  torch::manual_seed(3);
  AnyTaskModel model(contract.model(), task(), config());
  {
    const at::NoGradGuard no_grad;
    for (const auto& [name, tensor] : model->trainable_parameters()) tensor.normal_();
  }
  const at::Tensor scores = model.scores(batch());
  scores.square().mean().backward();
  for (const auto& [name, tensor] : model->named_parameters()) {
    ASSERT_EQ(tensor.grad().defined(), tensor.requires_grad()) << name;
    if (!tensor.requires_grad()) continue;
    EXPECT_GT(tensor.grad().abs().max().item<double>(), 0) << name;
  }
  const test::TemporaryFolder folder("matrix_" + GetParam().method + "_" + GetParam().model);
  model->save_pretrained(folder.path());
  AnyTaskModel again(contract.model(), task(), folder.path(), FromPretrainedOptions{});
  EXPECT_LT(relative_error(again.scores(batch()), scores), kMatrixTolerance);
}

INSTANTIATE_TEST_SUITE_P(Cases, GoldenMatrix, testing::ValuesIn(matrix_cases()),
                         [](const auto& info) {
                           return info.param.method + "_on_" + info.param.model;
                         });

TEST(GoldenMatrixFiles, NothingIsAllowedHereInVain) {
  for (const AllowedHere& one : kAllowedHere) {
    const std::string method(one.method);
    size_t uses = 0;
    for (const auto& [model, facts] : MatrixFile::of(method).cases.items()) {
      uses += allowed_here(method, facts) == &one ? 1 : 0;
    }
    EXPECT_GT(uses, 0U) << one.method << " " << one.task_type << ": " << one.reason;
  }
}

TEST(GoldenMatrixFiles, EveryModelThatReadsTextIsInThatOfEveryMethod) {
  size_t readers = 0;
  for (const std::string& name : test::contract_names()) {
    if (!Contract::read(name).reads_text()) continue;
    ++readers;
    for (const Method* method : all_methods()) {
      const std::string folder(method_folder(*method));
      EXPECT_TRUE(MatrixFile::of(folder).cases.contains(name))
          << name << ": run tests/front/golden_matrix.py " << folder;
    }
  }
  EXPECT_GT(readers, 50U);
}

}  // namespace
}  // namespace peft
