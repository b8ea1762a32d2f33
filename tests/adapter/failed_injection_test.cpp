// Wherever an injection fails, the model is afterwards as it was: names, tags, who learns, output.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "peft/adapter/tag.h"
#include "peft/adapter/tuner.h"
#include "peft/base/error.h"
#include "peft/methods/lora/config.h"
#include "peft/methods/registry.h"
#include "peft/tensor/tag_key.h"

namespace peft {
namespace {

namespace nn = torch::nn;

// A layer whose own child has the name that an adapter's parameters want.
struct TakenImpl : nn::LinearImpl {
  TakenImpl() : nn::LinearImpl(4, 4) { register_module("lora_B", nn::Identity()); }
};
TORCH_MODULE(Taken);

struct NetImpl : nn::Module {
  NetImpl() {
    fc = register_module("fc", nn::Linear(4, 4));
    twin_a = register_module("twin_a", nn::Linear(4, 4));
    twin_b = register_module("twin_b", nn::Linear(4, 4));
    struct Registry : nn::Module {
      static auto& of(nn::Module& module) { return module.*(&Registry::parameters_); }
    };
    Registry::of(*twin_b)["weight"] = twin_b->weight = twin_a->weight;
    norm = register_module("norm", nn::LayerNorm(nn::LayerNormOptions({4})));
    grouped = register_module("grouped", nn::Conv1d(nn::Conv1dOptions(4, 4, 1).groups(2)));
    list = register_module("list", nn::ModuleList(nn::Linear(4, 4)));
    taken = register_module("taken", Taken());
    head = register_module("head", nn::Linear(4, 2));
    fc->bias.set_requires_grad(false);
  }
  at::Tensor forward(const at::Tensor& x) {
    const at::Tensor h = norm(taken->forward(twin_b(twin_a(fc(x)))));
    return head(grouped(h.unsqueeze(2)).squeeze(2));
  }
  nn::Linear fc{nullptr}, twin_a{nullptr}, twin_b{nullptr}, head{nullptr};
  nn::LayerNorm norm{nullptr};
  nn::Conv1d grouped{nullptr};
  nn::ModuleList list{nullptr};
  Taken taken{nullptr};
};
TORCH_MODULE(Net);

/// Everything that a failure must not change.
struct Snapshot {
  std::vector<std::string> names;
  std::vector<bool> tagged, learns;
  at::Tensor output;

  Snapshot(Net& net, const at::Tensor& x) {
    for (const auto& item : net->named_parameters()) {
      names.push_back(item.key());
      tagged.push_back(is_tagged(item.value()));
      learns.push_back(item.value().requires_grad());
    }
    output = net->forward(x).detach();
  }
  void expect_unchanged(Net& net, const at::Tensor& x) const {
    const Snapshot now(net, x);
    EXPECT_EQ(now.names, names);
    EXPECT_EQ(now.tagged, tagged);
    EXPECT_EQ(now.learns, learns);
    EXPECT_TRUE(at::equal(now.output, output));
  }
};

using Saved = std::vector<std::string>;

struct Failure {
  const char* what;
  LoraConfig config;
  const char* part_of_message;
};

std::vector<Failure> failures() {
  return {
      {"no module of that name", {.target_modules = {"fcc"}}, "Closest names: 'fc'"},
      {"a bad pattern", {.target_modules = "(fc"}, "target_modules"},
      {"all modules are excluded", {.target_modules = {"fc"}, .exclude_modules = ".*"}, "excluded"},
      {"a value out of range", {.r = 0, .target_modules = {"fc"}}, "r: expected"},
      {"a field that is not served", {.target_modules = {"fc"}, .use_qalora = true}, "use_qalora"},
      {"a module that takes no adapter, after one that does",
       {.target_modules = {"fc", "norm"}},
       "'norm'"},
      {"a rank that the groups do not divide",
       {.r = 3, .target_modules = {"fc", "grouped"}},
       "r = 3"},
      {"a name that is taken, after others are attached",
       {.target_modules = {"fc", "taken"}},
       "'lora_B' is taken"},
      {"a weight whose users cannot be told apart",
       {.target_modules = {"fc", "twin_a"}},
       "shared with 'twin_b'"},
      {"a list to save, after adapters are made",
       {.target_modules = {"fc"}, .modules_to_save = Saved{"head", "list"}},
       "modules_to_save"},
      {"a module to save inside another",
       {.target_modules = {"fc"}, .modules_to_save = Saved{"taken", "taken.lora_B"}},
       "lies inside"},
      {"a saved weight that is shared, after others are attached",
       {.target_modules = {"fc"}, .modules_to_save = Saved{"head", "twin_b"}},
       "shared with 'twin_a'"},
      {"biases to learn, before the names fail",
       {.target_modules = {"fc", "taken"}, .bias = "all"},
       "is taken"},
  };
}

std::shared_ptr<Tuner> tuner_of_net(Net& net) {
  return std::make_shared<Tuner>(ModelTree(std::shared_ptr<nn::Module>(net.ptr())), ModelFacts{},
                                 find_method("LORA"));
}

void expect_failure(Tuner& tuner, const Failure& failure) {
  try {
    tuner.inject("new", failure.config);
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(failure.part_of_message), std::string::npos)
        << error.what();
  }
  EXPECT_FALSE(tuner.has("new"));
}

TEST(FailedInjection, OfTheFirstAdapterLeavesTheModelAsItWas) {
  const at::Tensor x = torch::randn({3, 4});
  for (const Failure& failure : failures()) {
    SCOPED_TRACE(failure.what);
    Net net;
    const Snapshot before(net, x);
    const auto tuner = tuner_of_net(net);
    expect_failure(*tuner, failure);
    before.expect_unchanged(net, x);
    EXPECT_TRUE(tuner->attachments().empty());
    EXPECT_TRUE(tuner->saved_modules().empty());
    EXPECT_NO_THROW(tuner->inject("new", LoraConfig{.target_modules = {"fc", "head"}}));
  }
}

TEST(FailedInjection, OfAnotherAdapterLeavesTheFirstAsItWas) {
  const at::Tensor x = torch::randn({3, 4});
  for (const Failure& failure : failures()) {
    SCOPED_TRACE(failure.what);
    Net net;
    const auto tuner = tuner_of_net(net);
    tuner->inject("first", LoraConfig{.r = 2,
                                      .target_modules = {"fc"},
                                      .bias = "lora_only",
                                      .modules_to_save = Saved{"head"},
                                      .init_lora_weights = false});
    const Snapshot before(net, x);
    const auto keys = tuner->state("first").names();
    if (std::string(failure.config.bias) != "none") continue;  // refused for another reason
    expect_failure(*tuner, failure);
    before.expect_unchanged(net, x);
    EXPECT_EQ(tuner->state("first").names(), keys);
    EXPECT_EQ(tuner->active_adapters(), std::vector<std::string>{"first"});
  }
}

TEST(FailedInjection, ASecondAdapterThatTrainsBiasesAndATakenNameAreRefused) {
  Net net;
  const auto tuner = tuner_of_net(net);
  tuner->inject("first", LoraConfig{.target_modules = {"fc"}, .bias = "all"});
  EXPECT_THROW(tuner->inject("second", LoraConfig{.target_modules = {"fc"}, .bias = "lora_only"}),
               ConfigError);
  EXPECT_THROW(tuner->inject("first", LoraConfig{.target_modules = {"head"}}), ConfigError);
  EXPECT_THROW(tuner->inject("a.b", LoraConfig{.target_modules = {"head"}}), ConfigError);
  EXPECT_EQ(tuner->configs().size(), 1u);
}

TEST(FailedInjection, TakingBackTheLastInjectionUndoesIt) {
  const at::Tensor x = torch::randn({3, 4});
  Net net;
  const Snapshot untouched(net, x);
  const auto tuner = tuner_of_net(net);
  const LoraConfig config{.target_modules = {"fc"},
                          .bias = "all",
                          .modules_to_save = Saved{"head"},
                          .init_lora_weights = false};
  tuner->inject("first", config);
  tuner->take_back_injection();
  untouched.expect_unchanged(net, x);
  tuner->take_back_injection();
  untouched.expect_unchanged(net, x);

  tuner->inject("first", config);
  const Snapshot with_first(net, x);
  const auto keys = tuner->state("first").names();
  tuner->inject("second", LoraConfig{.target_modules = {"fc", "grouped"},
                                     .modules_to_save = Saved{"head", "norm"}});
  tuner->take_back_injection();
  with_first.expect_unchanged(net, x);
  EXPECT_EQ(tuner->state("first").names(), keys) << "no base_layer of a site that is gone";
}

}  // namespace
}  // namespace peft
