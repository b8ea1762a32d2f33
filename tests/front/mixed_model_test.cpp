// PeftMixedModel against Python's: tests/front/golden_mixed, step by step.

#include "peft/peft_mixed_model.h"

#include <gtest/gtest.h>
#include <torch/torch.h>
#include <unistd.h>

#include <algorithm>

#include "peft/adapter/tag.h"
#include "peft/base/json_text.h"
#include "peft/methods/lora/config.h"
#include "peft/methods/registry.h"
#include "peft/tensor/tag_key.h"
#include "tests/front/golden_run.h"
#include "tests/support/collected_warnings.h"
#include "tests/support/expect_message.h"

namespace peft {
namespace {

namespace fs = std::filesystem;
using test::CollectedWarnings, test::expect_close, test::expect_message, test::tensors_of;

struct LayersImpl : torch::nn::Module {
  LayersImpl() {
    emb = register_module("emb", torch::nn::Embedding(11, 8));
    lin1 = register_module("lin1", torch::nn::Linear(8, 6));
    lin2 = register_module("lin2", torch::nn::Linear(6, 6));
    head = register_module("head", torch::nn::Linear(6, 3));
  }
  at::Tensor forward(const at::Tensor& ids) {
    return head(torch::tanh(lin2(torch::tanh(lin1(emb(ids))))));
  }
  torch::nn::Embedding emb{nullptr};
  torch::nn::Linear lin1{nullptr}, lin2{nullptr}, head{nullptr};
};
TORCH_MODULE(Layers);

using Model = PeftMixedModelFor<Layers>;
using Names = std::vector<std::string>;

fs::path golden_mixed() { return fs::path(PEFT_SOURCE_DIR) / "tests/front/golden_mixed"; }
Layers layers() { return test::net_of<Layers>(golden_mixed()); }
Json golden_steps() { return read_json_file(golden_mixed() / "steps.json"); }

Model model_with_one() {
  return PeftMixedModel::from_pretrained(layers(), golden_mixed() / "one", {.adapter_name = "one"});
}

Names sorted(Names names) {
  std::sort(names.begin(), names.end());
  return names;
}

Names learning(const PeftModel& model) {
  Names names;
  for (const auto& [name, tensor] : model.trainable_parameters()) names.push_back(name);
  return sorted(names);
}

// One step of steps.json; what computes afterwards.
at::Tensor take(Model& model, const Json& step, const at::Tensor& x) {
  const auto name = step[0].get<std::string>();
  const auto names = [&]() -> Names { return step.size() > 1 ? step[1].get<Names>() : Names{}; };
  if (name == "load_adapter") {
    model.load_adapter(golden_mixed() / step[1].get<std::string>(), step[2].get<std::string>(),
                       {.is_trainable = step.size() > 3});
  } else if (name == "set_adapter") {
    model.set_adapter(names(), step.size() > 2);
  } else if (name == "add_adapter") {
    const Names targets = step.size() > 2 ? step[2].get<Names>() : Names{"lin2"};
    model.add_adapter(step[1].get<std::string>(), LoraConfig{.r = 2, .target_modules = targets});
  } else if (name == "delete_adapter") {
    model.delete_adapter(names());
  } else if (name == "merge_adapter") {
    model.merge_adapter();
  } else if (name == "unmerge_adapter") {
    model.unmerge_adapter();
  } else if (name == "merge_and_unload") {
    return model.merge_and_unload(false, names())->forward(x);
  } else if (name == "unload") {
    return model.unload()->forward(x);
  } else if (name == "disable_adapter") {
    const DisabledAdapters off = model.disable_adapter();
    return model->forward(x);
  }
  return model->forward(x);
}

void expect_same_state(const Model& model, const Json& entry) {
  if (!entry.contains("active")) return;
  EXPECT_EQ(sorted(model.active_adapters()), entry["active"].get<Names>());
  EXPECT_EQ(learning(model), entry["learning"].get<Names>());
  const auto count = model.get_nb_trainable_parameters();
  EXPECT_EQ(count.trainable, entry["parameters"][0].get<int64_t>());
  EXPECT_EQ(count.all, entry["parameters"][1].get<int64_t>());
}

class Scenario : public testing::TestWithParam<const char*> {};

TEST_P(Scenario, ComputesAndLearnsAsPythonDoes) {
  const std::string name = GetParam();
  const StateDict tensors = tensors_of(golden_mixed() / "steps.safetensors");
  const at::Tensor x = tensors.at("input");
  const Json steps = golden_steps()["scenarios"][name];
  const CollectedWarnings warnings;  // of deletions and merges
  Model model = model_with_one();
  for (size_t i = 0; i < steps.size(); ++i) {
    SCOPED_TRACE(dump_json(steps[i]["step"], {.indent = std::nullopt}));
    const at::Tensor y = take(model, steps[i]["step"], x);
    expect_close(y, tensors.at(name + "." + std::to_string(i)), "output");
    expect_same_state(model, steps[i]);
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, Scenario,
                         testing::Values("several at once", "a new adapter",
                                         "loading lets the active ones learn", "merged", "deleted",
                                         "several deleted", "each layer chooses", "folded in",
                                         "folded in by name", "taken out"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), ' ', '_');
                           return name;
                         });

TEST(MixedModel, TheScenariosAreAllOfPython) { EXPECT_EQ(golden_steps()["scenarios"].size(), 10u); }

TEST(MixedModel, AdaptersOfHalfPrecisionHaveThePythonTypes) {
  const Json types = golden_steps()["types"];
  const auto type_of = [](const PeftModel& model, const std::string& adapter) {
    const auto type = model.state_dict(adapter).at("base_model.model.lin1.lora_A.weight");
    return type.scalar_type() == at::kBFloat16 ? "torch.bfloat16" : "torch.float32";
  };
  Layers half = layers();
  half->to(at::kBFloat16);
  Model built = get_peft_model(half, LoraConfig{.target_modules = {"lin1"}}, kMixed);
  built.add_adapter("later", LoraConfig{.target_modules = {"lin1"}});
  EXPECT_EQ(type_of(built, "default"), types["built"]);
  EXPECT_EQ(type_of(built, "later"), types["added"]);
  Layers other = layers();
  other->to(at::kBFloat16);
  const Model loaded = PeftMixedModel::from_pretrained(other, golden_mixed() / "one");
  EXPECT_EQ(type_of(loaded, "default"), types["loaded"]);
}

TEST(MixedModel, RefusesWhatPythonRefusesAndSaysWhatServes) {
  Model model = model_with_one();
  const test::TemporaryFolder folder("mixed");
  expect_message<UnsupportedError>({"save_pretrained", "PeftMixedModel", "PeftModel of its own"},
                                   [&] { model.save_pretrained(folder.path()); });
  EXPECT_TRUE(fs::is_empty(folder.path()));
  expect_message<UnsupportedError>({"create_or_update_model_card"},
                                   [&] { model.create_or_update_model_card(folder.path()); });
  expect_message<UnsupportedError>({"get_layer_status"}, [&] { model.get_layer_status(); });
  expect_message<UnsupportedError>({"get_model_status"}, [&] { model.get_model_status(); });
  expect_message<UnsupportedError>({"add_weighted_adapter", "set_adapter"},
                                   [&] { model.add_weighted_adapter({"one"}, {1.0}, "new"); });
  expect_message<NotFoundError>({"'none'", "one"}, [&] { model.set_adapter({"one", "none"}); });
  expect_message<NotFoundError>({"'none'"}, [&] { model.delete_adapter({"one", "none"}); });
  EXPECT_TRUE(model.tuner().has("one")) << "nothing is deleted where one is not there";
  expect_message<ConfigError>({"'one'", "exists already"}, [&] {
    model.add_adapter("one", LoraConfig{.target_modules = {"lin1"}});
  });
  EXPECT_EQ(golden_steps()["refused"].size(), 8u) << "each call above is an error in Python";
  // The functions that they name serve.
  EXPECT_EQ(get_layer_status(model.tuner()).size(), 2u);
  EXPECT_EQ(get_model_status(model.tuner()).adapter_model_type, "MixedModel");
}

TEST(MixedModel, AMergedAdapterIsNotDeletedNorItsCompanion) {
  Model model = model_with_one();
  model.load_adapter(golden_mixed() / "two", "two");
  model.merge_adapter({"two"});
  expect_message<ConfigError>({"'two' is merged", "unmerge"}, [&] {
    model.delete_adapter({"one", "two"});
  });
  EXPECT_TRUE(model.tuner().has("one"));
}

// The config of a method that may mix with others, and of one that may not.
template <bool kCanMix>
struct OtherConfig {
  std::string peft_type = kCanMix ? "MIXING" : "LONELY";
  TargetModules target_modules = {};
  Json extra = Json::object();

  static void fields(auto& self, auto&& field) {
    field("peft_type", self.peft_type, "");
    field("target_modules", self.target_modules, "");
  }
  void validate() const {}
};

class OtherLayer final : public TunerLayer {
 public:
  using TunerLayer::TunerLayer;
  void add(const std::string& adapter, const PeftConfig&, at::ScalarType dtype) override {
    const auto& shape = site().weight_shape;
    slots().add("other", adapter, "weight", at::full(shape, 0.5, dtype));
    names_.push_back(adapter);
  }
  void remove(const std::string& adapter) override {
    std::erase(names_, adapter);
    slots().remove(adapter);
  }
  bool has(const std::string& adapter) const override {
    return std::find(names_.begin(), names_.end(), adapter) != names_.end();
  }
  at::Tensor delta_of(const std::string& adapter, const at::Tensor&) const override {
    return slots().tensors(adapter).front().tensor;
  }
  std::string input_dependence() const override { return ""; }
  at::Tensor linear(const at::Tensor& x, const at::Tensor& weight,
                    const std::optional<at::Tensor>& bias) const override {
    return at::linear(x, weight + delta(weight), bias);
  }
  at::Tensor transposed_linear(const at::Tensor&, const at::Tensor&,
                               const std::optional<at::Tensor>&) const override {
    return {};
  }
  at::Tensor embedding(const at::Tensor&, const EmbeddingCall&) const override { return {}; }
  at::Tensor convolution(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&,
                         const ConvolutionCall&) const override {
    return {};
  }

 private:
  Names names_;
};

const Method kOther{
    .name = "MIXING",
    .key_prefix = "other",
    .parse = nullptr,
    .make_layer = [](const Site& site) -> std::shared_ptr<TunerLayer> {
      return std::make_shared<OtherLayer>(site);
    },
    .default_targets = nullptr,
    .can_mix = true,
};

std::shared_ptr<Tuner> tuner_of_two_methods(const Layers& net) {
  return std::make_shared<Tuner>(ModelTree(net.ptr()), ModelFacts{},
                                 std::vector<const Method*>{&find_method("LORA"), &kOther});
}

TEST(MixedModel, AdaptersOfTwoMethodsComputeTogetherAndAreFoldedInTogether) {
  Layers net = layers();
  const at::Tensor x = torch::arange(11);
  const auto plain = [&](double one, double two) {
    const at::NoGradGuard no_grad;
    const at::Tensor h = at::linear(net->emb(x), base(net->lin1->weight) + one, net->lin1->bias);
    return net->head(
        torch::tanh(at::linear(torch::tanh(h), base(net->lin2->weight) + two, net->lin2->bias)));
  };
  const auto tuner = tuner_of_two_methods(net);
  tuner->inject("low", LoraConfig{.r = 1, .target_modules = {"lin1"}, .lora_alpha = 1});
  OtherConfig<true> other;
  other.target_modules = Names{"lin2"};
  tuner->inject("other", other);
  {
    const at::NoGradGuard no_grad;
    for (auto& [key, tensor] : tuner->state("low")) tensor.fill_(0.5);
  }
  expect_close(net->forward(x), plain(0.25, 0), "the first");
  tuner->set_active({"low", "other"});
  expect_close(net->forward(x), plain(0.25, 0.5), "both");
  EXPECT_EQ(get_layer_status(*tuner)[0].module_type, "lora.Linear");
  EXPECT_EQ(get_layer_status(*tuner)[1].module_type, "mixing.Linear");
  EXPECT_EQ(tuner->state("other").names(), Names{"base_model.model.lin2.other.weight"});
  const at::Tensor both = net->forward(x).detach();
  tuner->merge();
  expect_close(net->forward(x), both, "merged");
  tuner->unmerge();
  tuner->set_active({"low"});
  tuner->remove({"low"});
  EXPECT_EQ(tuner->active_adapters(), Names{"other"});
  expect_close(net->forward(x), plain(0, 0.5), "the second");
}

TEST(MixedModel, TwoMethodsOnOneWeightAreRefusedAndTheModelIsAsItWas) {
  Layers net = layers();
  const auto tuner = tuner_of_two_methods(net);
  tuner->inject("low", LoraConfig{.target_modules = {"lin2"}});
  OtherConfig<true> other;
  other.target_modules = Names{"lin1", "lin2"};
  expect_message<UnsupportedError>({"lin2.weight", "LORA", "MIXING", "different modules"},
                                   [&] { tuner->inject("other", other); });
  EXPECT_FALSE(tuner->has("other"));
  EXPECT_FALSE(is_tagged(net->lin1->weight));
}

TEST(MixedModel, AMethodThatDoesNotMixIsRefused) {
  Layers net = layers();
  const auto tuner = tuner_of_two_methods(net);
  OtherConfig<false> lonely;
  lonely.target_modules = Names{"lin1"};
  expect_message<ConfigError>({"LONELY", "mix", "LORA, MIXING", "model of its own"},
                              [&] { tuner->inject("lonely", lonely); });
  EXPECT_FALSE(is_tagged(net->lin1->weight));
  for (const Method* method : mixable_methods()) EXPECT_TRUE(method->can_mix);
  EXPECT_EQ(mixable_methods().front()->name, "LORA");
}

TEST(MixedModel, GetPeftModelTakesANameAndCopiesShareOneModel) {
  Model model = get_peft_model(layers(), LoraConfig{.target_modules = {"lin1"}}, kMixed, "first");
  EXPECT_EQ(model.active_adapters(), Names{"first"});
  EXPECT_TRUE(model.tuner().is_mixed());
  Model copy = model;
  copy.add_adapter("second", LoraConfig{.target_modules = {"lin2"}});
  EXPECT_EQ(model.peft_config().size(), 2u);
}

}  // namespace
}  // namespace peft
