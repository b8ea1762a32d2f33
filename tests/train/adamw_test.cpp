#include "peft/train/adamw.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "peft/base/error.h"
#include "tests/train/golden_file.h"

namespace peft::train {
namespace {

at::Tensor tensor_of(const Json& json) {
  std::vector<float> values;
  std::vector<int64_t> shape = {static_cast<int64_t>(json.size())};
  if (json[0].is_array()) {
    shape.push_back(static_cast<int64_t>(json[0].size()));
    for (const Json& row : json) {
      for (const Json& value : row) values.push_back(value.get<float>());
    }
  } else {
    for (const Json& value : json) values.push_back(value.get<float>());
  }
  return torch::tensor(values).reshape(shape);
}

std::vector<TrainParameter> parameters_of(const Json& pair) {
  return {{.name = "a.weight", .tensor = tensor_of(pair[0]).requires_grad_()},
          {.name = "a.bias", .tensor = tensor_of(pair[1]).requires_grad_(), .decay = false}};
}

TEST(AdamW, StepsClippingAndNormsAreThoseOfTorch) {
  for (const Json& gold : golden()["adamw"]) {
    auto parameters = parameters_of(gold["first"]);
    AdamW optimizer(parameters, {.weight_decay = gold["weight_decay"]});
    for (size_t step = 0; step < gold["gradients"].size(); ++step) {
      for (size_t i = 0; i < 2; ++i) {
        parameters[i].tensor.mutable_grad() = tensor_of(gold["gradients"][step][i]);
      }
      const double norm = gradient_norm(parameters);
      EXPECT_NEAR(norm, gold["norms"][step].get<double>(), 1e-5 * norm);
      clip_gradients(parameters, norm, 1.0);
      optimizer.step(1e-2 * (1 - static_cast<double>(step) / 10));
    }
    for (size_t i = 0; i < 2; ++i) {
      EXPECT_TRUE(torch::allclose(parameters[i].tensor, tensor_of(gold["last"][i]), 1e-5, 1e-6))
          << parameters[i].name << ", weight decay " << gold["weight_decay"];
    }
  }
}

TEST(AdamW, DecaysTheParametersThatTheTrainerDecays) {
  for (const auto& [name, expected] : golden()["decay"].items()) {
    EXPECT_EQ(decays(name), expected.get<bool>()) << name;
  }
}

TEST(AdamW, AParameterWithoutAGradientStaysAsItIs) {
  const at::Tensor parameter = torch::ones({3}).requires_grad_();
  AdamW optimizer({{.name = "p", .tensor = parameter}}, {.weight_decay = 0.5});
  optimizer.step(0.1);
  EXPECT_TRUE(torch::equal(parameter, torch::ones({3})));
}

TEST(AdamW, AStateThatIsLoadedGoesOnToTheSameBits) {
  const auto run = [](bool interrupted) {
    at::Tensor parameter = torch::arange(4.0).requires_grad_();
    auto optimizer = std::make_unique<AdamW>(
        std::vector<TrainParameter>{{.name = "p", .tensor = parameter}}, AdamWOptions{});
    for (int step = 0; step < 6; ++step) {
      if (interrupted && step == 3) {
        const auto state = optimizer->state();
        optimizer = std::make_unique<AdamW>(
            std::vector<TrainParameter>{{.name = "p", .tensor = parameter}}, AdamWOptions{});
        optimizer->load_state(state, "state");
      }
      parameter.mutable_grad() = torch::full({4}, 0.1 * (step + 1)) * parameter.detach();
      optimizer->step(0.01);
    }
    return parameter.detach();
  };
  EXPECT_TRUE(torch::equal(run(false), run(true)));
}

TEST(AdamW, AStateOfAnotherAdapterIsRefused) {
  AdamW optimizer({{.name = "p", .tensor = torch::ones({3}).requires_grad_()}}, {});
  AdamW other({{.name = "q", .tensor = torch::ones({3}).requires_grad_()}}, {});
  AdamW wider({{.name = "p", .tensor = torch::ones({4}).requires_grad_()}}, {});
  EXPECT_THROW(optimizer.load_state(other.state(), "f"), MismatchError);
  EXPECT_THROW(optimizer.load_state(wider.state(), "f"), MismatchError);
}

TEST(AdamW, AGradientBelowTheLimitIsNotTouched) {
  at::Tensor parameter = torch::zeros({2}).requires_grad_();
  parameter.mutable_grad() = torch::full({2}, 0.1);
  clip_gradients({{.name = "p", .tensor = parameter}}, 0.1414, 1.0);
  EXPECT_TRUE(torch::equal(parameter.grad(), torch::full({2}, 0.1)));
}

}  // namespace
}  // namespace peft::train
