// Models on a GPU, or with a GPU beside them: the same numbers as on the CPU. A test of the project
// where libtorch has CUDA.

#include <gtest/gtest.h>
#include <torch/torch.h>
#include <unistd.h>

#include "peft/adapter/offloaded_weight.h"
#include "peft/adapter/tag.h"
#include "peft/methods/multitask_prompt_tuning/config.h"
#include "peft/methods/p_tuning/config.h"
#include "peft/methods/prefix_tuning/config.h"
#include "peft/methods/prompt_tuning/config.h"
#include "peft/models/registry.h"
#include "peft/offload.h"
#include "peft/optimizers.h"
#include "peft/peft_model_for_causal_lm.h"
#include "peft/tensor/device.h"
#include "peft/train/adamw.h"
#include "tests/front/parts.h"
#include "tests/front/support.h"

namespace peft {
namespace {

using test::Parts;
using test::TemporaryFolder;

const LoraConfig kEveryPart{.r = 3,
                            .target_modules = {"emb", "lin", "turned", "conv", "classifier"},
                            .init_lora_weights = false};

at::Tensor ids(at::Device device) { return at::arange(10).remainder(11).view({2, 5}).to(device); }

PeftModelFor<Parts> on_the_cpu(const LoraConfig& config) {
  torch::manual_seed(1);
  return PeftModelFor<Parts>(test::parts(), config);
}

void expect_near(const at::Tensor& ours, const at::Tensor& wanted, const std::string& what) {
  ASSERT_TRUE(ours.defined()) << what;
  ASSERT_EQ(ours.sizes(), wanted.sizes()) << what;
  const double scale = std::max(1.0, wanted.abs().max().item<double>());
  EXPECT_LT((ours.detach().cpu() - wanted.detach().cpu()).abs().max().item<double>(), 2e-5 * scale)
      << what;
}

class OnGpu : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(at::hasCUDA()) << "no GPU, or a libtorch without CUDA";
    gpu_ = best_device();
    at::globalContext().setAllowTF32CuDNN(false);  // the CPU's precision
  }
  at::Device gpu_ = at::kCPU;
};

// Output, gradients, merged output and files of a model that is moved are those of one that is not.
void expect_same_after_moving(const LoraConfig& config, at::Device gpu, const std::string& what) {
  SCOPED_TRACE(what);
  auto here = on_the_cpu(config), there = on_the_cpu(config);
  there->to(gpu);
  const at::Tensor wanted = here->forward(ids(at::kCPU)), got = there->forward(ids(gpu));
  EXPECT_EQ(got.device(), gpu);
  expect_near(got, wanted, "output");
  wanted.square().sum().backward();
  got.square().sum().backward();
  const auto learning = here.trainable_parameters(), moved = there.trainable_parameters();
  ASSERT_EQ(moved.size(), learning.size());
  for (size_t i = 0; i < moved.size(); ++i) {
    expect_near(moved[i].second.grad(), learning[i].second.grad(), moved[i].first);
  }
  const at::Tensor before = base(there->lin->weight).clone();
  here.merge_adapter();
  there.merge_adapter();
  expect_near(there->forward(ids(gpu)), here->forward(ids(at::kCPU)), "merged");
  there.unmerge_adapter();
  EXPECT_TRUE(at::equal(base(there->lin->weight), before));
}

TEST_F(OnGpu, LoraOnEveryKindOfLayer) {
  expect_same_after_moving(kEveryPart, gpu_, "plain");
  LoraConfig config = kEveryPart;
  config.use_rslora = true;
  config.bias = "lora_only";
  expect_same_after_moving(config, gpu_, "biases");
  config = kEveryPart;
  config.use_dora = true;
  expect_same_after_moving(config, gpu_, "dora");
  config = kEveryPart;
  config.target_modules = TargetModules{"lin", "turned"};
  config.modules_to_save = std::vector<std::string>{"classifier"};
  config.trainable_token_indices = Json{{"emb", {1, 4}}};
  expect_same_after_moving(config, gpu_, "saved modules and token rows");
}

TEST_F(OnGpu, AdaptersAreAddedWhereTheModelIs) {
  auto here = on_the_cpu(kEveryPart), there = on_the_cpu(kEveryPart);
  const TemporaryFolder folder("device_add");
  here.save_pretrained(folder.path());
  there->to(gpu_);
  there.add_adapter("second", kEveryPart);
  there.load_adapter(folder.path(), "third", {.source = {.torch_device = gpu_}});
  there.load_adapter(folder.path(), "second");
  for (const auto& item : there->named_parameters()) {
    EXPECT_EQ(item.value().device(), gpu_) << item.key();
  }
  for (const char* name : {"second", "third"}) {
    there.set_adapter(name);
    expect_near(there->forward(ids(gpu_)), here->forward(ids(at::kCPU)), name);
  }
}

TEST_F(OnGpu, BeginningsAreFoundThere) {
  for (const char* word : {"pissa", "pissa_niter_4", "olora", "orthogonal", "mica", "loftq"}) {
    Parts net = test::parts();
    net->to(gpu_);
    LoraConfig config{.r = 2, .target_modules = {"lin", "classifier"}, .init_lora_weights = word};
    if (std::string(word) == "loftq") config.loftq_config = LoftQConfig{};
    PeftModelFor<Parts> model(net, config);
    if (std::string(word) == "loftq") continue;  // it changes what the model computes
    expect_near(model->forward(ids(gpu_)), test::parts()->forward(ids(at::kCPU)), word);
  }
}

TEST_F(OnGpu, EphemeralOffloadBringsDoraToTheGpuAndBack) {
  LoraConfig config = kEveryPart;
  config.target_modules = TargetModules{"lin", "turned", "classifier"};
  config.use_dora = true;
  auto plain = on_the_cpu(config);
  config.runtime_config.ephemeral_gpu_offload = true;
  auto through = on_the_cpu(config);
  const auto wanted = plain.trainable_parameters(), got = through.trainable_parameters();
  ASSERT_EQ(got.size(), wanted.size());
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_TRUE(got[i].second.is_cpu()) << got[i].first;
    expect_near(got[i].second, wanted[i].second, got[i].first);
  }
}

TEST_F(OnGpu, EachRowHasItsAdapter) {
  const auto run = [](at::Device device) {
    auto model = on_the_cpu(kEveryPart);
    model.add_adapter("second", kEveryPart);
    model->to(device);
    model.eval();
    const at::NoGradGuard no_grad;
    const auto scope = model.mixed_batch({"second", "default"});
    return model->forward(ids(device));
  };
  expect_near(run(gpu_), run(at::kCPU), "rows");
}

TEST_F(OnGpu, WeightsStayOnTheCpuOrOnDisk) {
  const TemporaryFolder folder("device_offload");
  auto here = on_the_cpu(kEveryPart), there = on_the_cpu(kEveryPart);
  const DeviceMap map{{"", gpu_.str()}, {"lin", "cpu"}, {"conv", "cpu"}, {"emb", "disk"}};
  dispatch_model(there, map, {.offload_dir = folder.path()});
  EXPECT_TRUE(offloaded(there->lin->weight));
  EXPECT_TRUE(offloaded(there->emb->weight));
  EXPECT_FALSE(offloaded(there->classifier->weight));
  expect_near(there->forward(ids(gpu_)), here->forward(ids(at::kCPU)), "output");
  there->forward(ids(gpu_)).square().sum().backward();
  here->forward(ids(at::kCPU)).square().sum().backward();
  const auto wanted = here.trainable_parameters(), got = there.trainable_parameters();
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i].second.device(), gpu_) << got[i].first;
    expect_near(got[i].second.grad(), wanted[i].second.grad(), got[i].first);
  }
  here.merge_adapter();
  there.merge_adapter();
  expect_near(there->forward(ids(gpu_)), here->forward(ids(at::kCPU)), "merged");
  there.unmerge_adapter();
  remove_offload(there);
  EXPECT_EQ(there->lin->weight.device(), gpu_);
  EXPECT_TRUE(at::equal(base(there->lin->weight).cpu(), test::parts()->lin->weight));
}

LanguageModel bare_language_model() {
  const Json config = {{"model_type", "llama"},       {"vocab_size", 40},
                       {"hidden_size", 16},           {"intermediate_size", 24},
                       {"num_hidden_layers", 2},      {"num_attention_heads", 4},
                       {"num_key_value_heads", 2},    {"max_position_embeddings", 64},
                       {"tie_word_embeddings", true}, {"rms_norm_eps", 1e-5}};
  torch::manual_seed(5);
  LanguageModel model = make_language_model(config);
  {
    const at::NoGradGuard no_grad;
    for (auto& item : model->named_parameters()) {
      item.value().normal_(item.value().dim() == 1 ? 1.0 : 0.0, 0.3);
    }
  }
  return model;
}

PeftModelForCausalLM language_model(at::Device device) {
  const LanguageModel model = bare_language_model();
  PeftModelForCausalLM adapted(
      model, LoraConfig{.r = 3, .target_modules = "all-linear", .init_lora_weights = false});
  model->to(device);
  return adapted;
}

TEST_F(OnGpu, LanguageModelsTrainAndGenerate) {
  auto here = language_model(at::kCPU), there = language_model(gpu_);
  const at::Tensor tokens = at::randint(1, 40, {2, 9}, at::kLong);
  std::vector<at::Tensor> losses;
  for (auto* model : {&here, &there}) {
    model->train();
    std::vector<train::TrainParameter> parameters;
    for (auto& [name, tensor] : model->trainable_parameters()) {
      parameters.push_back({.name = name, .tensor = tensor});
    }
    train::AdamW adamw(std::move(parameters), {});
    for (int step = 0; step < 3; ++step) {
      losses.push_back(model->loss_sum({.input_ids = tokens}, tokens));
      losses.back().backward();
      adamw.step(1e-3);
      adamw.zero_grad();
    }
    model->eval();
  }
  for (int step = 0; step < 3; ++step) {
    expect_near(losses[3 + step] / 18, losses[step] / 18, "loss " + std::to_string(step));
  }
  const GenerateOptions options{.max_new_tokens = 12};
  const std::vector<std::vector<int64_t>> prompts{{3, 7, 9}, {4, 4}};
  const auto wanted = here.generate(prompts, options), got = there.generate(prompts, options);
  for (size_t i = 0; i < prompts.size(); ++i) EXPECT_EQ(got[i].tokens, wanted[i].tokens) << i;
  const GenerateOptions sampled{.max_new_tokens = 8, .do_sample = true, .seed = 3};
  EXPECT_EQ(there.generate(prompts, sampled)[0].tokens, there.generate(prompts, sampled)[0].tokens);
}

TEST_F(OnGpu, PromptsAreLearntAndGeneratedWith) {
  const std::vector<PeftConfig> configs{
      PromptTuningConfig{.task_type = "CAUSAL_LM", .num_virtual_tokens = 3},
      PrefixTuningConfig{.task_type = "CAUSAL_LM", .num_virtual_tokens = 3},
      PromptEncoderConfig{.task_type = "CAUSAL_LM", .num_virtual_tokens = 3},
      MultitaskPromptTuningConfig{
          .task_type = "CAUSAL_LM", .num_virtual_tokens = 3, .num_tasks = 2}};
  const at::Tensor tokens = at::randint(1, 40, {2, 9}, at::kLong);
  const at::Tensor mask = at::ones({2, 9}, at::kLong);
  for (const PeftConfig& config : configs) {
    const CausalLMCall call{.task_ids = config.peft_type() == "MULTITASK_PROMPT_TUNING"
                                            ? at::tensor({1, 0}, at::kLong)
                                            : at::Tensor()};
    std::vector<at::Tensor> losses;
    std::vector<std::vector<int64_t>> answers;
    for (const at::Device device : {at::Device(at::kCPU), gpu_}) {
      const LanguageModel base = bare_language_model();
      base->to(device);
      torch::manual_seed(3);
      PeftModelForCausalLM model(base, config);
      losses.push_back(model.loss({.input_ids = tokens, .attention_mask = mask}, tokens, call));
      losses.back().backward();
      for (const auto& [name, tensor] : model.trainable_parameters()) {
        EXPECT_EQ(tensor.device(), device) << name;
        EXPECT_GT(tensor.grad().abs().sum().item<double>(), 0.0) << name;
      }
      model.eval();
      answers.push_back(model.generate({{3, 7, 9}, {4, 4}}, {.max_new_tokens = 6}, call)[1].tokens);
    }
    expect_near(losses[1], losses[0], config.peft_type());
    EXPECT_EQ(answers[1], answers[0]) << config.peft_type();
  }
}

}  // namespace
}  // namespace peft
