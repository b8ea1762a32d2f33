#include "peft/peft_model.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>
#include <sstream>

#include "peft/adapter/clone.h"
#include "peft/adapter/tag.h"
#include "peft/base/error.h"
#include "peft/base/json_text.h"
#include "peft/base/warnings.h"
#include "peft/peft.h"
#include "tests/front/support.h"

namespace peft {
namespace {

using test::Net;
using test::TemporaryFolder;

Net same_weights(const Net& from) {
  Net to;
  at::NoGradGuard no_grad;
  const auto target = to->named_parameters();
  for (const auto& item : from->named_parameters()) {
    if (const auto* found = target.find(item.key())) found->copy_(item.value());
  }
  return to;
}

void randomise(PeftModel& model, uint64_t seed) {
  at::NoGradGuard no_grad;
  torch::manual_seed(seed);
  for (auto& [name, tensor] : model.named_parameters()) {
    if (name.find("lora_") != std::string::npos) tensor.normal_(0.0, 0.5);
  }
}

TEST(PeftModel, TheExampleOfTheReadmeRuns) {
  torch::manual_seed(0);
  Net net;
  const Net untouched = same_weights(net);
  const TemporaryFolder folder("readme");
  const auto x = torch::randn({4, 6});

  auto model = peft::get_peft_model(
      net, peft::LoraConfig{.r = 4, .target_modules = {"fc1", "fc2"}, .lora_alpha = 8});
  EXPECT_TRUE(at::equal(model->forward(x), Net(untouched)->forward(x)));
  randomise(model, 1);
  const auto y = model->forward(x);
  EXPECT_FALSE(at::allclose(y, Net(untouched)->forward(x)));
  model.save_pretrained(folder.path());

  auto again = peft::PeftModel::from_pretrained(same_weights(untouched), folder.path(),
                                                {.is_trainable = true});
  EXPECT_TRUE(at::allclose(again->forward(x), y, 1e-6, 1e-6));
  {
    auto off = again.disable_adapter();
    EXPECT_TRUE(at::equal(again->forward(x), Net(untouched)->forward(x)));
  }
  EXPECT_TRUE(at::allclose(again.forward(x), y, 1e-6, 1e-6));
  auto plain = again.merge_and_unload();
  EXPECT_TRUE(at::allclose(plain->forward(x), y, 1e-5, 1e-5));
  EXPECT_EQ(plain->named_parameters().size(), 4u);
}

TEST(PeftModel, WithoutSafeSerializationTheWeightsArePickled) {
  torch::manual_seed(0);
  Net net;
  const Net untouched = same_weights(net);
  const TemporaryFolder folder("pickled");
  const auto x = torch::randn({4, 6});
  auto model = get_peft_model(
      net, LoraConfig{.r = 2, .target_modules = {"fc1", "fc2"}, .init_lora_weights = false});
  model.save_pretrained(folder.path());
  randomise(model, 3);
  model.save_pretrained(folder.path(), {.safe_serialization = false});
  EXPECT_TRUE(exists(folder.path() / "adapter_model.bin"));
  EXPECT_FALSE(exists(folder.path() / "adapter_model.safetensors")) << "old weights would win";
  // Frozen adapters are multiplied by another kernel, which rounds differently.
  auto again =
      PeftModel::from_pretrained(same_weights(untouched), folder.path(), {.is_trainable = true});
  EXPECT_TRUE(at::equal(again->forward(x), model->forward(x)));
  model.save_pretrained(folder.path());
  EXPECT_FALSE(exists(folder.path() / "adapter_model.bin"));
}

TEST(PeftModel, TheSameLinesServeASequential) {
  torch::manual_seed(0);
  const auto make = [] {
    return torch::nn::Sequential(torch::nn::Linear(6, 5), torch::nn::ReLU(),
                                 torch::nn::Linear(5, 3));
  };
  auto net = make();
  const TemporaryFolder folder("sequential");
  const auto x = torch::randn({4, 6});
  auto model = get_peft_model(
      net, LoraConfig{
               .r = 4, .target_modules = {"0", "2"}, .lora_alpha = 8, .init_lora_weights = false});
  const at::Tensor y = model->forward(x);
  EXPECT_TRUE(at::equal(model.forward(x), y));
  model.save_pretrained(folder.path());
  const auto base_weights = peft::clone(net);
  auto fresh = make();
  {
    at::NoGradGuard no_grad;
    for (const auto& item : base_weights->named_parameters()) {
      fresh->named_parameters()[item.key()].copy_(item.value());
    }
  }
  auto again = PeftModel::from_pretrained(fresh, folder.path(), {.is_trainable = true});
  EXPECT_TRUE(at::equal(again->forward(x), y));
  {
    auto off = again.disable_adapter();
    EXPECT_TRUE(at::equal(again->forward(x), base_weights->forward(x)));
  }
  torch::nn::Sequential plain = again.merge_and_unload();
  EXPECT_TRUE(at::allclose(plain->forward(x), y, 1e-5, 1e-5));
  EXPECT_EQ(plain->named_parameters().size(), 4u);
}

TEST(PeftModel, ScopesWithoutAdaptersNest) {
  torch::manual_seed(0);
  Net net;
  auto model =
      get_peft_model(net, LoraConfig{.target_modules = {"fc1"}, .init_lora_weights = false});
  const auto x = torch::randn({4, 6});
  const at::Tensor on = model->forward(x);
  const auto off_now = [&] { return !at::allclose(model->forward(x), on); };
  {
    auto outer = model.disable_adapter();
    EXPECT_TRUE(off_now());
    {
      auto inner = model.disable_adapter();
      EXPECT_TRUE(off_now());
      EXPECT_TRUE(model.trainable_parameters().empty());
    }
    EXPECT_TRUE(off_now()) << "the outer scope still holds";
  }
  EXPECT_TRUE(at::equal(model->forward(x), on));
  EXPECT_EQ(model.trainable_parameters().size(), 2u);
}

TEST(PeftModel, WithoutItsLastAdapterAModelIsTheBase) {
  torch::manual_seed(0);
  Net net;
  const auto x = torch::randn({4, 6});
  const at::Tensor plain = net->forward(x);
  auto model =
      get_peft_model(net, LoraConfig{.target_modules = {"fc1"}, .init_lora_weights = false});
  EXPECT_THROW(model.delete_adapter("defualt"), NotFoundError);
  model.merge_adapter();
  EXPECT_THROW(model.delete_adapter("default"), ConfigError);
  model.unmerge_adapter();
  model.delete_adapter("default");
  EXPECT_TRUE(model.active_adapters().empty());
  EXPECT_TRUE(at::equal(model->forward(x), plain));
  model.add_adapter("next", LoraConfig{.target_modules = {"fc2"}, .init_lora_weights = false});
  EXPECT_TRUE(at::equal(model->forward(x), plain)) << "added, not activated, as in Python";
  EXPECT_TRUE(model.trainable_parameters().empty());
  model.set_adapter("next");
  EXPECT_FALSE(at::allclose(model->forward(x), plain));
  EXPECT_EQ(model.trainable_parameters().size(), 2u);
}

// Whatever replaces the tensor under the model's feet is found by whoever uses the model next.
TEST(PeftModel, EveryEntryPointFindsALostAdapter) {
  using Loss = std::function<void(Net&)>;
  const std::vector<Loss> losses{[](Net& net) {
                                   net->fc1->weight.set_data(torch::zeros({5, 6}));
                                 },
                                 [](Net& net) {
                                   std::vector<at::Tensor> all = net->parameters();
                                   const at::Tensor flat =
                                       torch::nn::utils::parameters_to_vector(all).detach();
                                   torch::nn::utils::vector_to_parameters(flat, all);
                                 }};
  const auto x = torch::randn({2, 6});
  for (const Loss& lose : losses) {
    Net net;
    auto model = get_peft_model(net, LoraConfig{.r = 2, .target_modules = {"fc1"}});
    const TemporaryFolder folder("lost");
    {
      at::NoGradGuard no_grad;
      lose(net);
    }
    EXPECT_THROW(model.forward(x), ConfigError);
    EXPECT_THROW(model->forward(x), ConfigError);
    EXPECT_THROW(model.save_pretrained(folder.path()), ConfigError);
    EXPECT_THROW(model.state_dict(), ConfigError);
    EXPECT_THROW(model.merge_adapter(), ConfigError);
    EXPECT_THROW(model.merge_and_unload(), ConfigError);
    EXPECT_THROW(model.unload(), ConfigError);
  }
}

TEST(PeftModel, AdaptersOfAHalfPrecisionBaseAreFloat32UnlessAskedOtherwise) {
  torch::manual_seed(0);
  for (const auto dtype : {torch::kBFloat16, torch::kHalf}) {
    for (const bool autocast : {true, false}) {
      Net net;
      net->to(dtype);
      auto model = get_peft_model(net,
                                  LoraConfig{.r = 2,
                                             .target_modules = {"fc1"},
                                             .modules_to_save = std::vector<std::string>{"fc2"},
                                             .init_lora_weights = false},
                                  {.autocast_adapter_dtype = autocast});
      for (const auto& [key, tensor] : model.state_dict()) {
        const bool lora = key.find("lora_") != std::string::npos;
        EXPECT_EQ(tensor.scalar_type(), lora && autocast ? torch::kFloat : dtype) << key;
      }
      const at::Tensor x = torch::randn({3, 6}).to(dtype).set_requires_grad(true);
      const at::Tensor y = model->forward(x);
      EXPECT_EQ(y.scalar_type(), dtype);
      y.sum().backward();
      for (auto& [name, tensor] : model.trainable_parameters()) {
        ASSERT_TRUE(tensor.grad().defined()) << name;
        EXPECT_EQ(tensor.grad().scalar_type(), tensor.scalar_type()) << name;
      }

      const auto state = model.state_dict();
      const std::string path = "base_model.model.fc1.lora_";
      const at::Tensor a = state.at(path + "A.weight").to(torch::kFloat);
      const at::Tensor b = state.at(path + "B.weight").to(torch::kFloat);
      const at::Tensor delta = (b.mm(a) * 4.0).to(state.at(path + "B.weight").scalar_type());
      const at::Tensor before = base(net->fc1->weight).detach().clone();
      at::Tensor merged = before.clone();
      merged.add_(delta);
      model.merge_adapter();
      EXPECT_TRUE(at::equal(base(net->fc1->weight), merged)) << "one rounding, as in Python";
      model.unmerge_adapter();
      EXPECT_TRUE(at::equal(base(net->fc1->weight), before));
      model.merge_adapter({}, /*safe_merge=*/true);
      EXPECT_TRUE(at::equal(base(net->fc1->weight), before + delta.to(dtype)));
    }
  }
}

// A module that writes its buffers writes those of the copy that is trained.
TEST(PeftModel, ASavedBatchNormKeepsItsStatisticsInItsCopy) {
  torch::manual_seed(0);
  torch::nn::Sequential net(torch::nn::Linear(6, 5), torch::nn::BatchNorm1d(5));
  auto& norm = dynamic_cast<torch::nn::BatchNorm1dImpl&>(*net->ptr(1));
  auto model = get_peft_model(
      net, LoraConfig{.target_modules = {"0"}, .modules_to_save = std::vector<std::string>{"1"}});
  for (int step = 0; step < 3; ++step) model->forward(torch::randn({8, 6}) + 2.0);
  const auto state = model.state_dict();
  const std::string path = "base_model.model.1.";
  EXPECT_EQ(state.at(path + "num_batches_tracked").item<int64_t>(), 3);
  EXPECT_GT(state.at(path + "running_mean").abs().max().item<double>(), 0.0);
  EXPECT_EQ(base(norm.num_batches_tracked).item<int64_t>(), 0);
  EXPECT_EQ(base(norm.running_mean).abs().max().item<double>(), 0.0);
  {
    auto off = model.disable_adapter();
    model->forward(torch::randn({8, 6}));
    EXPECT_EQ(base(norm.num_batches_tracked).item<int64_t>(), 1) << "switched off: the base's own";
  }
  EXPECT_EQ(model.state_dict().at(path + "num_batches_tracked").item<int64_t>(), 3);
  model.unload();
  EXPECT_EQ(norm.num_batches_tracked.item<int64_t>(), 3) << "the copy stays, as in Python";
}

TEST(PeftModel, NamesOfModulesToSaveThatReachNothingAreToldOf) {
  std::vector<std::string> warnings;
  const auto former = set_warning_sink([&](const std::string& text) { warnings.push_back(text); });
  Net net, classifier;
  get_peft_model(net, LoraConfig{.target_modules = {"fc1"},
                                 .modules_to_save = std::vector<std::string>{"fc3", "fc2"}});
  // What Python adds to every config of a classifier, of which a model has one.
  get_peft_model(classifier,
                 LoraConfig{.task_type = "SEQ_CLS",
                            .target_modules = {"fc1"},
                            .modules_to_save = std::vector<std::string>{"classifier", "score"}});
  set_warning_sink(former);
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("'fc3'"), std::string::npos) << warnings[0];
  EXPECT_NE(warnings[0].find("Closest names: "), std::string::npos) << warnings[0];
}

TEST(PeftModel, ParametersHavePythonsNames) {
  Net net;
  auto model = get_peft_model(net, LoraConfig{.r = 2, .target_modules = {"fc1"}});
  std::vector<std::string> names;
  for (const auto& [name, tensor] : model.trainable_parameters()) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"base_model.model.fc1.lora_A.default.weight",
                                             "base_model.model.fc1.lora_B.default.weight"}));
  std::ostringstream out;
  model.print_trainable_parameters(out);
  EXPECT_EQ(out.str(), "trainable params: 22 || all params: 75 || trainable%: 29.3333\n");
}

TEST(PeftModel, GradientsEqualThoseOfTheWeightPlusItsDelta) {
  torch::manual_seed(0);
  Net net;
  auto model = get_peft_model(net, LoraConfig{.r = 2, .target_modules = {"fc1", "fc2"}});
  randomise(model, 3);
  const auto x = torch::randn({4, 6}, torch::requires_grad());
  model->forward(x).square().sum().backward();

  std::map<std::string, at::Tensor> p;
  for (auto& [name, tensor] : model.trainable_parameters()) {
    p[name] = tensor.detach().clone().requires_grad_();
  }
  const auto weight = [&](const std::string& fc, const torch::nn::Linear& layer) {
    const std::string path = "base_model.model." + fc;
    return peft::base(layer->weight).detach() +
           4.0 * p[path + ".lora_B.default.weight"].mm(p[path + ".lora_A.default.weight"]);
  };
  const auto x2 = x.detach().clone().requires_grad_();
  const auto h = torch::relu(at::linear(x2, weight("fc1", net->fc1), net->fc1->bias));
  at::linear(h, weight("fc2", net->fc2), net->fc2->bias).square().sum().backward();
  EXPECT_TRUE(at::allclose(x.grad(), x2.grad(), 1e-4, 1e-5));
  for (auto& [name, tensor] : model.trainable_parameters()) {
    EXPECT_TRUE(at::allclose(tensor.grad(), p[name].grad(), 1e-4, 1e-5)) << name;
  }
}

}  // namespace
}  // namespace peft
