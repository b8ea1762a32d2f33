// LoRA's own optimisers: the steps that Python's took.

#include "peft/optimizers.h"

#include <gtest/gtest.h>

#include "peft/formats/safetensors_file.h"
#include "tests/front/golden_run.h"
#include "tests/front/variant_models.h"

namespace peft {
namespace {

using namespace test;  // NOLINT: what the golden tests share

class Optimizers : public testing::Test {
 protected:
  // The model of tests/front/golden_variants.py with the values it had before the first step.
  PeftModelFor<models::Mixed> start(const std::string& name) {
    run_ =
        formats::SafetensorsFile(golden("../golden_variants/optimizers") / (name + ".safetensors"))
            .load_all();
    models::Mixed net;
    {
      const at::NoGradGuard no_grad;
      for (auto& parameter : net->named_parameters()) {
        parameter.value().copy_(run_.at("base." + parameter.key()));
      }
    }
    TargetModules targets = {"emb", "lin1"};
    if (name != "lorafa") targets = {"emb", "lin1", "conv"};
    auto model = get_peft_model(net, LoraConfig{.r = 2,
                                                .target_modules = targets,
                                                .lora_alpha = 3,
                                                .bias = "lora_only",
                                                .use_rslora = true});
    model.load_state_dict(with_prefix("before."));
    return model;
  }

  template <typename Optimizer>
  void expect_steps_of_python(PeftModelFor<models::Mixed>& model, Optimizer& optimizer) {
    for (int step = 0; step < 3; ++step) {
      optimizer.zero_grad();
      model->forward(run_.at("input")).square().sum().backward();
      optimizer.step();
    }
    const StateDict after = with_prefix("after.");
    for (const auto& [key, tensor] : model.state_dict()) expect_close(tensor, after.at(key), key);
  }

  StateDict with_prefix(const std::string& prefix) const {
    StateDict found;
    for (const auto& [key, tensor] : run_) {
      if (key.starts_with(prefix)) found.set(key.substr(prefix.size()), tensor);
    }
    return found;
  }

  StateDict run_;
};

TEST_F(Optimizers, LoraPlus) {
  auto model = start("loraplus");
  const LoraPlusOptions options{.lr = 1e-3,
                                .loraplus_lr_ratio = 8,
                                .loraplus_weight_decay = 0.1,
                                .loraplus_lr_embedding = 5e-4};
  const auto groups = loraplus_groups(model, options);
  ASSERT_EQ(groups.size(), 4u);
  EXPECT_EQ(groups[1].names.size(), 2u);
  EXPECT_EQ(groups[3].lr, 8e-3);
  const auto adamw =
      create_loraplus_optimizer<torch::optim::AdamW>(model, torch::optim::AdamWOptions(), options);
  expect_steps_of_python(model, *adamw);
  EXPECT_THROW(loraplus_groups(model, {.lr = 0}), ConfigError);
  EXPECT_THROW(loraplus_groups(model, {.loraplus_lr_ratio = -1}), ConfigError);
}

TEST_F(Optimizers, Riemannian) {
  auto model = start("riemannian");
  const auto sgd =
      create_riemannian_optimizer<torch::optim::SGD>(model, torch::optim::SGDOptions(1e-3), 0.05);
  expect_steps_of_python(model, *sgd);
  EXPECT_THROW(sgd->step([] { return at::zeros({}); }), UnsupportedError);
  auto lookups = get_peft_model(models::Mixed(), LoraConfig{.target_modules = {"emb"}});
  EXPECT_THROW(
      create_riemannian_optimizer<torch::optim::SGD>(lookups, torch::optim::SGDOptions(1e-3)),
      ConfigError);
}

TEST_F(Optimizers, LoraFa) {
  auto model = start("lorafa");
  const auto optimizer = create_lorafa_optimizer(model, {.lr = 1e-3, .weight_decay = 0.1});
  for (const auto& [name, tensor] : model.trainable_parameters()) {
    EXPECT_EQ(name.find("lora_A"), std::string::npos) << name;
  }
  expect_steps_of_python(model, *optimizer);
  EXPECT_THROW(create_lorafa_optimizer(model, {.lr = -1}), ConfigError);
}

}  // namespace
}  // namespace peft
