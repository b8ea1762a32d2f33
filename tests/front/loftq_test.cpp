// replace_lora_weights_loftq: the values that Python computes, and what is refused.

#include "peft/loftq.h"

#include <gtest/gtest.h>

#include "peft/base/error.h"
#include "peft/formats/safetensors_writer.h"
#include "peft/methods/lora/init/quantise.h"
#include "tests/front/golden_run.h"
#include "tests/front/variant_models.h"
#include "tests/support/expect_message.h"

namespace peft {
namespace {

namespace fs = std::filesystem;
using namespace test;  // NOLINT: what the golden tests share

fs::path loftq_golden(const std::string& name) { return golden("../golden_loftq") / name; }

const LoraConfig kLoftqAdapter{
    .r = 3, .target_modules = {"lin1", "lin2", "head", "conv"}, .lora_alpha = 3};

PeftModelFor<models::Mixed> quantised_model(const StateDict& run) {
  auto model = get_peft_model(net_of<models::Mixed>(loftq_golden("")), kLoftqAdapter);
  StateDict first;
  for (const auto& [key, tensor] : run) {
    if (key.starts_with("before.")) first.set(key.substr(7), tensor);
  }
  model.load_state_dict(first);
  return model;
}

// The product is compared: singular vectors have no sign of their own.
void expect_products(const PeftModel& model, const StateDict& run, const std::string& prefix) {
  const StateDict state = model.state_dict();
  for (const std::string name : {"lin1", "lin2", "head", "conv"}) {
    const std::string key = "base_model.model." + name;
    const std::string a = key + ".lora_A.weight", b = key + ".lora_B.weight";
    expect_close(at::matmul(state.at(b).flatten(1), state.at(a).flatten(1)),
                 at::matmul(run.at(prefix + b).flatten(1), run.at(prefix + a).flatten(1)), name);
    expect_close(at::linalg_vector_norm(state.at(a)), at::linalg_vector_norm(run.at(prefix + a)),
                 name + ": the share of A");
  }
}

TEST(Loftq, TheValuesAreThoseOfPython) {
  const StateDict run = tensors_of(loftq_golden("run.safetensors"));
  auto model = quantised_model(run);
  std::vector<at::Tensor> learning;
  for (const auto& [name, tensor] : model.trainable_parameters()) learning.push_back(tensor);
  replace_lora_weights_loftq(model, loftq_golden("model.safetensors"));
  expect_products(model, run, "after.");
  for (const at::Tensor& tensor : learning) EXPECT_TRUE(tensor.requires_grad());
  const StateDict originals = tensors_of(loftq_golden("model.safetensors"));
  for (const std::string name : {"lin1.weight", "lin2.weight", "head.weight"}) {
    const at::Tensor weight = model.get_parameter(name);
    EXPECT_LT((effective(weight) - originals.at(name)).norm().item<double>(),
              (base(weight) - originals.at(name)).norm().item<double>())
        << name << ": the adapter makes up for a part of what quantising lost";
  }
}

TEST(Loftq, ACallbackTakesReplacementsBack) {
  const StateDict run = tensors_of(loftq_golden("run.safetensors"));
  auto model = quantised_model(run);
  std::vector<std::string> asked;
  replace_lora_weights_loftq(model, loftq_golden(""), "default",
                             [&](PeftModel&, const std::string& module) {
                               asked.push_back(module);
                               return module == "lin1";
                             });
  EXPECT_EQ(asked, (std::vector<std::string>{"lin1", "lin2", "head"}));
  expect_products(model, run, "kept.");
}

TEST(Loftq, ServesNf4AndTransposedLayersAndSmallRanks) {
  models::Transposed net;
  const TemporaryFolder folder("loftq");
  StateDict originals, file;
  for (const std::string name : {"c_attn.weight", "c_proj.weight"}) {
    const at::Tensor weight = net->named_parameters()[name].detach();
    originals.set(name, weight.normal_().clone());
    weight.copy_(lora::dequantise(lora::quantise_nf4(weight)));
  }
  file.set("c_attn.weight", originals.at("c_attn.weight"));
  file.set("weight", originals.at("c_proj.weight"));  // a key without the first part
  formats::write_safetensors(folder.path() / "model.safetensors", file);
  auto model = get_peft_model(
      net, LoraConfig{.r = 7, .target_modules = {"c_attn", "c_proj"}, .lora_alpha = 7});
  replace_lora_weights_loftq(model, folder.path());
  expect_close(effective(net->c_attn->weight), originals.at("c_attn.weight"), "all that was lost");
  expect_close(effective(net->c_proj->weight), originals.at("c_proj.weight"), "all that was lost");
}

TEST(Loftq, WhatItCannotServeIsRefused) {
  const StateDict run = tensors_of(loftq_golden("run.safetensors"));
  const fs::path file = loftq_golden("model.safetensors");
  const auto replace = [&](PeftModel& model, const fs::path& path) {
    replace_lora_weights_loftq(model, path);
  };
  auto model = quantised_model(run);
  expect_message<ConfigError>({"model_path"}, [&] { replace_lora_weights_loftq(model); });
  expect_message<NotFoundError>({"'other'"},
                                [&] { replace_lora_weights_loftq(model, file, "other"); });
  EXPECT_THROW(replace(model, loftq_golden("nothing.safetensors")), NotFoundError);
  expect_message<NotFoundError>({"'lin1.weight'"},
                                [&] { replace(model, loftq_golden("run.safetensors")); });
  expect_message<UnsupportedError>({"quantised", "checkpoint's own"},
                                   [&] { replace(model, loftq_golden("base.safetensors")); });
  model.merge_adapter();
  expect_message<ConfigError>({"merged"}, [&] { replace(model, file); });
  auto lookup = get_peft_model(net_of<models::Mixed>(loftq_golden("")),
                               LoraConfig{.target_modules = {"emb"}});
  expect_message<ConfigError>({"linear layer"}, [&] { replace(lookup, file); });
  auto dora = get_peft_model(net_of<models::Mixed>(loftq_golden("")),
                             LoraConfig{.target_modules = {"lin1"}, .use_dora = true});
  expect_message<UnsupportedError>({"lin1.weight", "variant"}, [&] { replace(dora, file); });
}

}  // namespace
}  // namespace peft
