#include "peft/adapter/tuner.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "peft/adapter/merged_weights.h"
#include "peft/adapter/tag.h"
#include "peft/methods/lora/config.h"
#include "peft/methods/registry.h"
#include "peft/tensor/tag_key.h"

namespace peft {
namespace {

struct TiedImpl : torch::nn::Module {
  TiedImpl() {
    embed = register_module("embed", torch::nn::Embedding(7, 4));
    body = register_module("body", torch::nn::Linear(4, 4));
    head = register_module("head", torch::nn::Linear(torch::nn::LinearOptions(4, 7).bias(false)));
    head->weight = embed->weight;
    tie();
  }
  // The registered parameter has to be the same tensor too.
  void tie() {
    struct Access : torch::nn::Module {
      static auto& of(torch::nn::Module& m) { return m.*(&Access::parameters_); }
    };
    Access::of(*head)["weight"] = embed->weight;
  }
  at::Tensor forward(const at::Tensor& ids) { return head(torch::tanh(body(embed(ids)))); }
  torch::nn::Embedding embed{nullptr};
  torch::nn::Linear body{nullptr}, head{nullptr};
};
TORCH_MODULE(Tied);

std::shared_ptr<Tuner> tuner_of(const std::shared_ptr<torch::nn::Module>& module) {
  return std::make_shared<Tuner>(ModelTree(module), ModelFacts{}, find_method("LORA"));
}

void fill(Tuner& tuner, const std::string& adapter) {
  at::NoGradGuard no_grad;
  for (auto& [key, tensor] : tuner.state(adapter)) tensor.normal_();
}

std::vector<std::string> parameter_names(const torch::nn::Module& module) {
  return module.named_parameters().keys();
}

TEST(Tuner, AFailedInjectionLeavesTheModelAsItWas) {
  torch::nn::Sequential net(torch::nn::Linear(4, 4),
                            torch::nn::LayerNorm(torch::nn::LayerNormOptions({4})));
  const auto names = parameter_names(*net);
  const auto tuner = tuner_of(net.ptr());
  EXPECT_THROW(tuner->inject("default", LoraConfig{.target_modules = {"0", "1"}}),
               UnsupportedError);
  EXPECT_EQ(parameter_names(*net), names);
  EXPECT_FALSE(is_tagged(net->parameters()[0]));
  EXPECT_TRUE(net->parameters()[0].requires_grad());
  EXPECT_NO_THROW(tuner->inject("default", LoraConfig{.target_modules = {"0"}}));
}

TEST(Tuner, NothingMatchedNamesTheClosest) {
  Tied net;
  try {
    tuner_of(net.ptr())->inject("default", LoraConfig{.target_modules = {"bdy"}});
    FAIL();
  } catch (const NoMatchError& error) {
    EXPECT_NE(std::string(error.what()).find("'body'"), std::string::npos) << error.what();
  }
}

TEST(Tuner, UnloadTakesEverythingOut) {
  Tied net;
  const auto names = parameter_names(*net);
  const auto tuner = tuner_of(net.ptr());
  tuner->inject("default", LoraConfig{.target_modules = {"body", "embed"}});
  EXPECT_NE(parameter_names(*net), names);
  tuner->unload();
  EXPECT_EQ(parameter_names(*net), names);
  for (const at::Tensor& tensor : net->parameters()) EXPECT_FALSE(is_tagged(tensor));
}

TEST(Tuner, OnTiedWeightsEachModuleHasItsOwnAdapter) {
  torch::manual_seed(0);
  Tied net;
  const at::Tensor ids = torch::arange(7);
  const auto tuner = tuner_of(net.ptr());
  tuner->inject("default", LoraConfig{.r = 2, .target_modules = {"embed", "head"}});
  fill(*tuner, "default");
  const auto state = tuner->state("default");
  const auto of = [&](const std::string& name) { return state.at("base_model.model." + name); };
  const at::Tensor w = base(net->embed->weight).detach();
  const at::Tensor in = w + 4.0 * of("embed.lora_embedding_B").mm(of("embed.lora_embedding_A")).t();
  const at::Tensor out = w + 4.0 * of("head.lora_B.weight").mm(of("head.lora_A.weight"));
  const at::Tensor expected = at::linear(torch::tanh(net->body(in)), out);
  EXPECT_TRUE(at::allclose(net->forward(ids), expected, 1e-4, 1e-5));
}

TEST(Tuner, SavedCopyOfATiedHeadLeavesTheEmbeddingAlone) {
  torch::manual_seed(0);
  Tied net;
  const at::Tensor ids = torch::arange(7);
  const auto tuner = tuner_of(net.ptr());
  tuner->inject("default", LoraConfig{.target_modules = {"body"},
                                      .modules_to_save = std::vector<std::string>{"head"}});
  const at::Tensor before = net->forward(ids).detach();
  {
    at::NoGradGuard no_grad;
    tuner->state("default").at("base_model.model.head.weight").mul_(2.0);
  }
  EXPECT_TRUE(at::allclose(net->forward(ids), 2.0 * before, 1e-5, 1e-5));
  EXPECT_TRUE(at::equal(net->embed(ids), base(net->embed->weight)));
}

TEST(Tuner, UnloadGivesAModuleThatLeavesATieAWeightOfItsOwn) {
  torch::manual_seed(0);
  for (const char* saved : {"head", "embed"}) {
    SCOPED_TRACE(saved);
    Tied net;
    const at::Tensor ids = torch::arange(7), shared = net->embed->weight;
    const at::Tensor before = shared.detach().clone();
    const auto tuner = tuner_of(net.ptr());
    tuner->inject("default", LoraConfig{.target_modules = {"body"},
                                        .modules_to_save = std::vector<std::string>{saved},
                                        .init_lora_weights = false});
    {
      at::NoGradGuard no_grad;
      tuner->state("default").at(std::string("base_model.model.") + saved + ".weight").mul_(2.0);
    }
    tuner->merge();
    const at::Tensor want = net->forward(ids).detach();
    tuner->unload();
    EXPECT_TRUE(at::allclose(net->forward(ids), want, 1e-5, 1e-6));
    EXPECT_TRUE(at::equal(shared, before)) << "who keeps the tie keeps the weight";
    EXPECT_FALSE(net->embed->weight.is_same(net->head->weight));
    const auto named = net->named_parameters();
    EXPECT_TRUE(named["embed.weight"].is_same(net->embed->weight)) << "what is read is registered";
    EXPECT_TRUE(named["head.weight"].is_same(net->head->weight));
  }
}

TEST(Tuner, UnloadRefusesATieThatItCannotUndoAndChangesNothing) {
  struct Custom : torch::nn::Module {
    explicit Custom(const at::Tensor& weight) { register_parameter("weight", weight); }
  };
  auto net = std::make_shared<torch::nn::Module>();
  auto embed = net->register_module("embed", torch::nn::Embedding(7, 4));
  net->register_module("body", torch::nn::Linear(4, 4));
  net->register_module("custom", std::make_shared<Custom>(embed->weight));
  const auto tuner = tuner_of(net);
  tuner->inject("default", LoraConfig{.target_modules = {"body"},
                                      .modules_to_save = std::vector<std::string>{"custom"}});
  const auto names = parameter_names(*net);
  EXPECT_THROW(tuner->check_untying(), UnsupportedError);
  EXPECT_THROW(tuner->unload(), UnsupportedError);
  EXPECT_EQ(parameter_names(*net), names);
  EXPECT_NO_THROW(tuner->verify());
  tuner->set_active({});
  EXPECT_NO_THROW(tuner->unload());
}

TEST(Tuner, MergeUnmergeRestoresTheBytesOfABfloat16Base) {
  torch::manual_seed(0);
  torch::nn::Sequential net(torch::nn::Linear(8, 8));
  net->to(torch::kBFloat16);
  const auto tuner = tuner_of(net.ptr());
  tuner->inject("default", LoraConfig{.r = 2, .target_modules = {"0"}});
  tuner->inject("second", LoraConfig{.r = 2, .target_modules = {"0"}});
  for (const char* name : {"default", "second"}) {
    EXPECT_EQ(tuner->state(name).begin()->second.scalar_type(), torch::kFloat);
    fill(*tuner, name);
  }
  const at::Tensor weight = base(net->parameters()[0]).detach();
  const at::Tensor before = weight.clone();
  tuner->merge({"default"});
  tuner->merge({"second"}, {.safe = true});
  EXPECT_FALSE(at::equal(weight, before));
  tuner->unmerge();
  EXPECT_TRUE(at::equal(weight, before));
}

TEST(Tuner, MergedWeightsAreThoseOfAMergeAndTheBaseStays) {
  torch::manual_seed(0);
  for (const bool safe : {false, true}) {
    Tied net;
    if (safe) net->to(torch::kBFloat16);
    const auto tuner = tuner_of(net.ptr());
    tuner->inject("default", LoraConfig{.r = 2, .target_modules = {"body", "embed"}});
    tuner->inject("second", LoraConfig{.r = 2, .target_modules = {"body"}, .use_dora = true});
    for (const char* name : {"default", "second"}) fill(*tuner, name);
    const NamedTensors parameters = tuner->tree().parameters();
    StateDict before, wanted;
    for (const auto& [name, tensor] : tuner->base_state()) before.set(name, tensor.clone());
    const std::vector<std::string> both{"default", "second"};
    {
      const MergedWeights merged(*tuner, both, safe);
      for (const auto& [name, tensor] : before) {
        for (const auto& [other, parameter] : parameters) {
          if (other == name) wanted.set(name, merged.value_of(parameter).clone());
        }
      }
    }
    for (const auto& [name, tensor] : before) {
      EXPECT_TRUE(at::equal(tuner->base_state().at(name), tensor)) << name;
    }
    int64_t calls = 0;
    tuner->merge(both, {.safe = safe, .can_unmerge = false, .progress = [&](int64_t, int64_t all) {
                          EXPECT_LE(++calls, all);
                        }});
    EXPECT_GT(calls, 0);
    EXPECT_FALSE(MergedWeights::can_be_made(*tuner));
    EXPECT_GE(wanted.size(), 3u);
    for (const auto& [name, tensor] : wanted) {
      EXPECT_TRUE(at::equal(tuner->base_state().at(name), tensor)) << name << " safe " << safe;
    }
    tuner->unload();
  }
}

TEST(Tuner, SafeMergeOfABrokenAdapterTouchesNothing) {
  torch::nn::Sequential net(torch::nn::Linear(4, 4), torch::nn::Linear(4, 4));
  const auto tuner = tuner_of(net.ptr());
  tuner->inject("default", LoraConfig{.target_modules = {"0", "1"}});
  fill(*tuner, "default");
  {
    at::NoGradGuard no_grad;
    tuner->state("default").at("base_model.model.1.lora_A.weight").fill_(NAN);
  }
  const at::Tensor before = base(net->parameters()[0]).detach().clone();
  EXPECT_THROW(tuner->merge({}, {.safe = true}), ConfigError);
  const at::Tensor broken = net[1]->as<torch::nn::LinearImpl>()->weight;
  EXPECT_THROW(MergedWeights(*tuner, {}, true).value_of(broken), ConfigError);
  EXPECT_TRUE(at::equal(base(net->parameters()[0]), before));
  EXPECT_FALSE(tuner->merged());
}

TEST(Tuner, SwitchingOffNestsAndKeepsWhatWasFrozen) {
  torch::nn::Sequential net(torch::nn::Linear(4, 4));
  const auto tuner = tuner_of(net.ptr());
  tuner->inject("default", LoraConfig{.target_modules = {"0"}});
  fill(*tuner, "default");
  const at::Tensor x = torch::randn({2, 4});
  const at::Tensor on = net->forward(x);
  tuner->set_enabled(false);
  EXPECT_FALSE(at::allclose(net->forward(x), on));
  tuner->set_enabled(true);
  EXPECT_TRUE(at::equal(net->forward(x), on));
  tuner->set_active({"default"}, true);
  tuner->set_enabled(false);
  tuner->set_enabled(true);
  EXPECT_FALSE(net->forward(x).requires_grad());
}

TEST(Tuner, AWrongShapeIsLoudAndChangesNothing) {
  torch::nn::Sequential net(torch::nn::Linear(4, 4));
  const auto tuner = tuner_of(net.ptr());
  tuner->inject("default", LoraConfig{.r = 2, .target_modules = {"0"}});
  const at::Tensor a = tuner->state("default").at("base_model.model.0.lora_A.weight").clone();
  const StateDict tensors{{"base_model.model.0.lora_A.weight", torch::ones({2, 4})},
                          {"base_model.model.0.lora_B.weight", torch::ones({4, 3})}};
  EXPECT_THROW(tuner->load_state("default", tensors), MismatchError);
  EXPECT_TRUE(at::equal(tuner->state("default").at("base_model.model.0.lora_A.weight"), a));
  const LoadResult result = tuner->load_state(
      "default", {{"0.lora_A.weight", torch::ones({2, 4})}, {"nonsense", torch::ones({1})}});
  EXPECT_EQ(result.missing, std::vector<std::string>{"base_model.model.0.lora_B.weight"});
  EXPECT_EQ(result.unexpected, std::vector<std::string>{"nonsense"});
  EXPECT_EQ(result.matched.size(), 1u);
}

TEST(Tuner, ALostTagIsFound) {
  torch::nn::Sequential net(torch::nn::Linear(4, 4));
  const auto tuner = tuner_of(net.ptr());
  tuner->inject("default", LoraConfig{.target_modules = {"0"}});
  EXPECT_NO_THROW(tuner->verify());
  net->parameters()[0].set_data(torch::zeros({4, 4}));
  EXPECT_THROW(tuner->verify(), ConfigError);
}

}  // namespace
}  // namespace peft
