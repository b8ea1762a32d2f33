// Adapters that begin with a part of the base weights: begun, trained, saved and converted as in
// Python.

#include <gtest/gtest.h>

#include "peft/adapter/tag.h"
#include "peft/adapter_folder.h"
#include "peft/base/warnings.h"
#include "peft/lora_init.h"
#include "peft/methods/lora/layer.h"
#include "peft/peft_model.h"
#include "tests/front/golden_run.h"
#include "tests/front/models.h"
#include "tests/front/support.h"

namespace peft {
namespace {

namespace fs = std::filesystem;
namespace nn = torch::nn;
using namespace test;  // NOLINT: what the golden tests share

fs::path init_golden(const std::string& name) {
  return fs::path(PEFT_SOURCE_DIR) / "tests/front/golden_init" / name;
}

struct MixedImpl : nn::Module {
  MixedImpl() {
    emb = register_module("emb", nn::Embedding(11, 8));
    lin1 = register_module("lin1", nn::Linear(8, 6));
    c_fc = register_module("c_fc", models::Declared(5, 6));
    lin2 = register_module("lin2", nn::Linear(5, 7));
  }
  at::Tensor forward(const at::Tensor& ids) {
    return lin2(torch::tanh(c_fc(torch::relu(lin1(emb(ids))))));
  }
  nn::Embedding emb{nullptr};
  nn::Linear lin1{nullptr}, lin2{nullptr};
  models::Declared c_fc{nullptr};
};
TORCH_MODULE(Mixed);

struct HeadsImpl : nn::Module {
  HeadsImpl() {
    emb = register_module("emb", nn::Embedding(11, 8));
    q = register_module("q", nn::Linear(8, 8));
    k = register_module("k", nn::Linear(8, 8));
    o = register_module("o", nn::Linear(8, 8));
    out = register_module("out", nn::Linear(8, 6));
  }
  at::Tensor forward(const at::Tensor& ids) {
    const at::Tensor h = emb(ids);
    return out(torch::relu(o(torch::tanh(q(h)) * k(h))));
  }
  nn::Embedding emb{nullptr};
  nn::Linear q{nullptr}, k{nullptr}, o{nullptr}, out{nullptr};
};
TORCH_MODULE(Heads);

LoraConfig config_of(const fs::path& folder) {
  return read_adapter_config(folder / "trained").as<LoraConfig>();
}

void preprocess(const std::string& name, Mixed& net, LoraConfig& config, const at::Tensor& rows) {
  const auto each_row = [&](const auto& run) {
    for (const at::Tensor& row : rows.unbind(0)) run(row.unsqueeze(0));
  };
  if (name == "corda") {
    preprocess_corda(net, config, [&] { each_row([&](const auto& row) { net->forward(row); }); });
  } else if (name == "lora_ga") {
    preprocess_loraga(net, config, [&] {
      each_row([&](const auto& row) { net->forward(row).square().sum().backward(); });
    });
  }
}

// A model whose adapter begins here, not from a file.
PeftModelFor<Mixed> begun(const std::string& name, const StateDict& run) {
  Mixed net = net_of<Mixed>(init_golden(name));
  LoraConfig config = config_of(init_golden(name));
  config.inference_mode = false;
  preprocess(name, net, config, run.at("rows"));
  return get_peft_model(net, config);
}

class BegunCase : public testing::TestWithParam<const char*> {};

TEST_P(BegunCase, TheBaseGivesAwayWhatItDoesInPython) {
  const std::string name = GetParam();
  const StateDict run = tensors_of(init_golden(name) / "run.safetensors");
  auto model = begun(name, run);
  for (const auto& [key, tensor] : model.get_base_model()->named_parameters().pairs()) {
    if (key.find("lora_") != std::string::npos) continue;
    expect_close(base(tensor), run.at("residual." + key), "what is left of " + key);
  }
  expect_close(model->forward(run.at("input")), run.at("output"), "output");
  EXPECT_EQ(keys(model.state_dict()), keys(read_adapter_weights(init_golden(name) / "initial")));
}

TEST_P(BegunCase, ItTrainsAsInPython) {
  torch::manual_seed(0);  // pissa_niter draws
  const std::string name = GetParam();
  const StateDict run = tensors_of(init_golden(name) / "run.safetensors");
  auto model = begun(name, run);
  // Singular vectors have no sign of their own: the steps start from Python's.
  model.load_state_dict(read_adapter_weights(init_golden(name) / "initial"));
  expect_training_like_python(model, run, [&](const at::Tensor& x) { return model->forward(x); });
  expect_close(model->forward(run.at("input")), run.at("trained_output"), "trained");
}

INSTANTIATE_TEST_SUITE_P(Golden, BegunCase,
                         testing::Values("pissa", "pissa_niter", "olora", "mica", "corda"),
                         [](const auto& info) { return std::string(info.param); });

// The signs of its singular vectors depend on random numbers, and A and B do not share theirs: the
// formulas are compared with Python's in tests/methods/lora, here it is where they act.
TEST(LoraGa, TakesTheMeanGradientAndLeavesTheOutputAsItWas) {
  const fs::path folder = init_golden("lora_ga");
  const StateDict run = tensors_of(folder / "run.safetensors");
  const at::Tensor rows = run.at("rows");
  Mixed net = net_of<Mixed>(folder), plain = net_of<Mixed>(folder);
  for (const at::Tensor& row : rows.unbind(0)) {
    plain->forward(row.unsqueeze(0)).square().sum().backward();
  }
  LoraConfig config = config_of(folder);
  preprocess("lora_ga", net, config, rows);
  const auto mean = [&](const at::Tensor& weight) { return weight.grad() / rows.size(0); };
  const auto& gradients = config.statistics->gradients;
  ASSERT_EQ(gradients.size(), 3u);
  expect_close(gradients.at("lin1"), mean(plain->lin1->weight), "lin1");
  expect_close(gradients.at("c_fc"), mean(plain->c_fc->weight), "c_fc");
  expect_close(gradients.at("lin2"), mean(plain->lin2->weight), "lin2");
  auto model = get_peft_model(net, config);
  EXPECT_TRUE(gradients.empty()) << "each entry serves one adapter";
  expect_close(model->forward(run.at("input")), run.at("output"), "output");
  const at::Tensor moved = (base(net->lin1->weight) - plain->lin1->weight).abs().max();
  EXPECT_GT(moved.item<double>(), 1e-3) << "the base gave something away";
  expect_close(effective(net->c_fc->weight), plain->c_fc->weight.detach(), "c_fc and its adapter");
}

class LoadedCase : public testing::TestWithParam<const char*> {};

TEST_P(LoadedCase, AFileOfPythonMeansTheSame) {
  const std::string name = GetParam();
  const StateDict run = tensors_of(init_golden(name) / "run.safetensors");
  auto model =
      PeftModel::from_pretrained(net_of<Mixed>(init_golden(name)), init_golden(name) / "trained");
  expect_same_files(model, init_golden(name) / "trained");
  expect_close(model->forward(run.at("input")), run.at("trained_output"), "trained");
}

INSTANTIATE_TEST_SUITE_P(Golden, LoadedCase,
                         testing::Values("pissa", "pissa_niter", "olora", "mica"),
                         [](const auto& info) { return std::string(info.param); });

class ConvertedCase : public testing::TestWithParam<const char*> {};

TEST_P(ConvertedCase, ItIsThePlainAdapterThatPythonMakes) {
  const std::string name = GetParam();
  const fs::path folder = init_golden(name);
  const StateDict run = tensors_of(folder / "run.safetensors");
  auto model = begun(name, run);
  model.load_state_dict(read_adapter_weights(folder / "trained"));
  const TemporaryFolder ours("converted_" + name);
  model.save_pretrained(ours.path(),
                        {.path_initial_model_for_weight_conversion = folder / "initial"});
  const StateDict made = read_adapter_weights(ours.path());
  const StateDict python = read_adapter_weights(folder / "converted");
  EXPECT_EQ(keys(made), keys(python));
  for (const auto& [key, tensor] : python) EXPECT_TRUE(at::equal(made.at(key), tensor)) << key;
  auto plain = PeftModel::from_pretrained(net_of<Mixed>(folder), ours.path());
  expect_same_files(plain, folder / "converted");
  expect_close(plain->forward(run.at("input")), run.at("trained_output"), "converted");
}

INSTANTIATE_TEST_SUITE_P(Golden, ConvertedCase,
                         testing::Values("pissa", "pissa_niter", "olora", "corda", "lora_ga"),
                         [](const auto& info) { return std::string(info.param); });

std::vector<EvaBatch> eva_batches(Heads& net, const StateDict& run, const EvaConfig& settings) {
  std::vector<EvaBatch> batches;
  for (int64_t i = 0; run.contains("batch." + std::to_string(i) + ".input_ids"); ++i) {
    const std::string name = "batch." + std::to_string(i) + ".";
    const at::Tensor ids = run.at(name + "input_ids");
    batches.push_back({.forward = [net, ids]() mutable { net->forward(ids); },
                       .mask = eva_mask(ids, run.at(name + "attention_mask"),
                                        run.at(name + "labels"), settings)});
  }
  return batches;
}

class EvaCase : public testing::TestWithParam<const char*> {};

TEST_P(EvaCase, RanksAndComponentsAreThoseOfPython) {
  const fs::path folder = init_golden(GetParam());
  const StateDict run = tensors_of(folder / "run.safetensors");
  Heads net = net_of<Heads>(folder);
  const LoraConfig python = config_of(folder);
  LoraConfig config = python;
  config.inference_mode = false;
  config.target_modules = {"emb", "q", "k", "o", "out"};
  config.rank_pattern.clear();
  config.alpha_pattern.clear();
  auto model = get_peft_model(net, config);
  auto batches = eva_batches(net, run, *config.eva_config);
  const auto found = get_eva_state_dict(model.tuner(), batches);
  EXPECT_EQ(found.size(), 4u);
  for (const EvaComponents& each : found) {
    if (each.components.size(0) == 0) continue;
    expect_close(each.components.to(at::kFloat),
                 run.at("components." + each.module_name).to(at::kFloat), each.module_name);
  }
  initialize_lora_eva_weights(model, batches);
  expect_close(model->forward(run.at("input")), run.at("output"), "output");
  expect_same_files(model, folder / "trained");
  const StateDict ours = model.state_dict(), theirs = read_adapter_weights(folder / "trained");
  for (const auto& [key, tensor] : theirs) {
    if (key.find("lora_embedding") == std::string::npos) expect_close(ours.at(key), tensor, key);
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, EvaCase, testing::Values("eva", "eva_whiten"),
                         [](const auto& info) { return std::string(info.param); });

TEST(Eva, AModuleOfRankZeroLosesItsAdapter) {
  Heads net;
  auto model = get_peft_model(
      net, LoraConfig{.r = 2, .target_modules = {"q", "k", "o"}, .init_lora_weights = "eva"});
  initialize_lora_eva_weights(
      model.tuner(),
      {{"q", at::randn({4, 8})}, {"k", at::empty({0, 8})}, {"o", at::randn({2, 8})}});
  EXPECT_EQ(model.tuner().targeted_modules(), (std::vector<std::string>{"q", "o"}));
  EXPECT_EQ(keys(model.state_dict()),
            (std::set<std::string>{
                "base_model.model.q.lora_A.weight", "base_model.model.q.lora_B.weight",
                "base_model.model.o.lora_A.weight", "base_model.model.o.lora_B.weight"}));
  const auto& config = model.peft_config("default").as<LoraConfig>();
  EXPECT_EQ(config.target_modules, NamesOrPattern(std::vector<std::string>{"q", "o"}));
  EXPECT_EQ(config.rank_pattern, (std::vector<std::pair<std::string, int64_t>>{{"q", 4}}));
  EXPECT_EQ(model.trainable_parameters().size(), 4u);
  model->forward(torch::zeros({1, 2}, torch::kLong)).sum().backward();
  EXPECT_FALSE(net->k->named_children().contains("lora_A"));
}

TEST(Eva, WhatItCannotServeIsRefused) {
  Heads net;
  auto plain = get_peft_model(net, LoraConfig{.r = 2, .target_modules = {"q"}});
  EXPECT_THROW(initialize_lora_eva_weights(plain, {}), ConfigError) << "another beginning";
  Heads other;
  auto model = get_peft_model(
      other, LoraConfig{.r = 2, .target_modules = {"q", "o"}, .init_lora_weights = "eva"});
  EXPECT_THROW(initialize_lora_eva_weights(model, {}), ConfigError) << "no data";
  const EvaBatch few{.forward = [&] { other->forward(torch::zeros({1, 2}, torch::kLong)); }};
  EXPECT_THROW(initialize_lora_eva_weights(model, {few}), ConfigError) << "too few positions";
  const EvaBatch idle{.forward = [] {}};
  EXPECT_THROW(initialize_lora_eva_weights(model, {idle}), ConfigError) << "never called";
  EXPECT_TRUE(model.tuner().enabled()) << "everything is as it was";
  model.tuner().verify();
}

// Every linear layer of one module that a beginning is not made for.
void expect_refused(const std::string& word, const std::string& target) {
  struct AllImpl : nn::Module {
    AllImpl() {
      register_module("emb", nn::Embedding(11, 8));
      register_module("conv", nn::Conv1d(8, 6, 3));
      register_module("attn", nn::MultiheadAttention(8, 2));
      register_module("in_out", models::Declared(5, 6));
    }
  };
  const auto net = std::make_shared<AllImpl>();
  const LoraConfig config{
      .r = 2, .target_modules = {target}, .init_lora_weights = word, .loftq_config = LoftQConfig{}};
  const auto before = net->named_parameters().size();
  EXPECT_THROW(get_peft_model(net, config), ConfigError) << word << " on " << target;
  EXPECT_EQ(net->named_parameters().size(), before);
}

TEST(Beginnings, AreRefusedWherePythonHasNone) {
  for (const char* word : {"pissa", "olora", "corda", "orthogonal", "mica", "loftq", "eva"}) {
    expect_refused(word, "conv");
  }
  for (const char* word : {"pissa", "olora", "corda", "orthogonal", "mica", "loftq", "lora_ga"}) {
    expect_refused(word, "attn");
  }
  expect_refused("loftq", "emb");
  expect_refused("olora", "in_out");
  expect_refused("loftq", "in_out");
}

TEST(Beginnings, WhatIsMissingIsSaid) {
  const auto begin = [](const LoraConfig& config) { get_peft_model(Mixed(), config); };
  EXPECT_THROW(begin({.target_modules = {"lin1"}, .init_lora_weights = "corda"}), ConfigError);
  EXPECT_THROW(begin({.r = 3, .target_modules = {"lin1"}, .init_lora_weights = "orthogonal"}),
               ConfigError);
  EXPECT_THROW(begin({.target_modules = {"lin1"}, .lora_alpha = 0, .init_lora_weights = "pissa"}),
               ConfigError);
  EXPECT_THROW(begin({.r = 7, .target_modules = {"lin1"}, .init_lora_weights = "mica"}),
               ConfigError);
  Mixed net;
  LoraConfig config{.target_modules = {"lin1"}, .init_lora_weights = "lora_ga"};
  EXPECT_THROW(preprocess_loraga(net, config, [] {}), ConfigError) << "no settings";
  config.lora_ga_config.emplace();
  EXPECT_THROW(preprocess_loraga(net, config, [] {}), ConfigError) << "no backward";
  EXPECT_THROW(preprocess_corda(net, config, {}), ConfigError) << "no data";
  EXPECT_TRUE(net->lin1->weight.requires_grad()) << "as it was";
}

TEST(Beginnings, AFailedLoadGivesTheBaseItsBytesBack) {
  Mixed net = net_of<Mixed>(init_golden("pissa"));
  const at::Tensor before = net->lin1->weight.detach().clone();
  const TemporaryFolder broken("broken_pissa");
  LoraConfig config = config_of(init_golden("pissa"));
  config.r = 2;  // the tensors have three
  write_adapter(broken.path(), PeftConfig(config),
                read_adapter_weights(init_golden("pissa") / "trained"));
  EXPECT_THROW(PeftModel::from_pretrained(net, broken.path()), MismatchError);
  EXPECT_TRUE(at::equal(net->lin1->weight, before));
}

TEST(Beginnings, AMergedModelIsNotTakenApart) {
  Mixed net = net_of<Mixed>(init_golden("pissa"));
  auto model = get_peft_model(net, LoraConfig{.r = 2, .target_modules = {"lin1"}});
  model.merge_adapter();
  const LoraConfig pissa{.r = 2, .target_modules = {"lin1"}, .init_lora_weights = "pissa"};
  EXPECT_THROW(model.add_adapter("second", pissa), ConfigError);
  model.unmerge_adapter();
  model.add_adapter("second", pissa);
}

TEST(Beginnings, MicaKeepsBFromLearning) {
  Mixed net = net_of<Mixed>(init_golden("mica"));
  auto model = get_peft_model(
      net, LoraConfig{.r = 2, .target_modules = {"emb", "lin1"}, .init_lora_weights = "mica"});
  model.set_requires_grad("default", true);
  model.set_adapter("default");
  for (const auto& [name, tensor] : model.trainable_parameters()) {
    EXPECT_EQ(name.find("_B."), std::string::npos) << name << " must not learn";
  }
  EXPECT_EQ(model.trainable_parameters().size(), 2u);
}

TEST(Beginnings, LoftQLeavesAQuantisedBase) {
  Mixed net = net_of<Mixed>(init_golden("pissa"));
  const at::Tensor before = net->lin1->weight.detach().clone();
  auto model = get_peft_model(net, LoraConfig{.r = 2,
                                              .target_modules = {"lin1"},
                                              .lora_alpha = 2,
                                              .init_lora_weights = "loftq",
                                              .loftq_config = LoftQConfig{}});
  const at::Tensor left = base(net->lin1->weight).detach();
  const at::Tensor whole = effective(net->lin1->weight).detach();
  EXPECT_GT((left - before).norm().item<double>(), 0.0);
  EXPECT_LT((whole - before).norm().item<double>(), (left - before).norm().item<double>())
      << "the adapter makes up for a part of what quantising loses";
}

TEST(Beginnings, CordaReadsItsFilesBack) {
  const TemporaryFolder folder("corda_files");
  const fs::path golden = init_golden("corda");
  const StateDict run = tensors_of(golden / "run.safetensors");
  LoraConfig config = config_of(golden);
  config.corda_config->cache_file = (folder.path() / "cache" / "eigens.safetensors").string();
  config.corda_config->covariance_file = (folder.path() / "covariances.safetensors").string();
  Mixed net = net_of<Mixed>(golden);
  preprocess("corda", net, config, run.at("rows"));
  EXPECT_TRUE(fs::exists(*config.corda_config->cache_file));
  for (const bool from_cache : {true, false}) {
    if (!from_cache) config.corda_config->cache_file.reset();
    config.statistics.reset();
    Mixed fresh = net_of<Mixed>(golden);
    preprocess_corda(fresh, config, {});
    auto model = get_peft_model(fresh, config);
    expect_close(model->forward(run.at("input")), run.at("output"), "output");
    EXPECT_TRUE(config.statistics->eigens.empty()) << "each entry serves one adapter";
  }
}

// The lengths are those of the weight that the adapter and what it left of the base make together.
TEST(Beginnings, DoraTakesItsLengthsAfterTheBaseHasChanged) {
  for (const char* word : {"pissa", "olora"}) {
    Mixed net = net_of<Mixed>(init_golden("pissa"));
    const at::Tensor ids = torch::arange(11).view({1, 11});
    const at::Tensor before = net->forward(ids).detach();
    auto model = get_peft_model(net, LoraConfig{.r = 2,
                                                .target_modules = {"lin1", "lin2"},
                                                .init_lora_weights = word,
                                                .use_dora = true});
    expect_close(model->forward(ids), before, word);
  }
}

TEST(Beginnings, AreRefusedBesideVariantsThatTheyDoNotFit) {
  const auto begin = [](LoraConfig config) {
    config.r = 2;
    config.target_modules = {"lin1"};
    return get_peft_model(Mixed(), config);
  };
  EXPECT_THROW(begin({.init_lora_weights = "mica", .use_dora = true}), ConfigError);
  const Json blocks = Json::parse(R"({"nblocks": 2, "target_modules_bd_a": ["lin1"]})");
  EXPECT_THROW(begin({.init_lora_weights = "pissa", .use_bdlora = blocks}), ConfigError);
  const std::vector<EvaComponents> components{{"lin1", at::randn({3, 8})}};
  for (const char* field : {"use_bdlora", "kasa_config"}) {
    LoraConfig config{.init_lora_weights = "eva"};
    (std::string(field) == "use_bdlora" ? config.use_bdlora : config.kasa_config) =
        std::string(field) == "use_bdlora" ? blocks : Json::object();
    auto model = begin(config);
    EXPECT_THROW(initialize_lora_eva_weights(model.tuner(), components), ConfigError) << field;
  }
}

TEST(Eva, AVariantIsMadeAnewWithTheRank) {
  Heads net;
  auto model = get_peft_model(
      net,
      LoraConfig{.r = 2, .target_modules = {"q"}, .init_lora_weights = "eva", .use_dora = true});
  const at::Tensor ids = torch::arange(11).view({1, 11});
  const at::Tensor before = model->forward(ids).detach();
  initialize_lora_eva_weights(model.tuner(), {{"q", at::randn({4, 8})}});
  expect_close(model->forward(ids), before, "B is 0 and the lengths are the weight's");
}

TEST(Conversion, WhatCannotBeConvertedIsRefused) {
  const fs::path folder = init_golden("pissa");
  const StateDict trained = read_adapter_weights(folder / "trained");
  LoraConfig config = config_of(folder);
  config.use_rslora = true;
  config.rank_pattern = {{"lin1", 3}};
  EXPECT_THROW(converted_adapter(PeftConfig(config), trained, folder / "initial"), ConfigError);
  EXPECT_THROW(
      converted_adapter(PeftConfig(config_of(folder)), trained, init_golden("corda") / "initial"),
      MismatchError);
}

TEST(Conversion, RsLoraKeepsItsScaling) {
  const fs::path folder = init_golden("pissa");
  LoraConfig config = config_of(folder);
  config.use_rslora = true;
  const auto [plain, tensors] = converted_adapter(
      PeftConfig(config), read_adapter_weights(folder / "trained"), folder / "initial");
  EXPECT_EQ(plain.as<LoraConfig>().r, 6);
  EXPECT_NEAR(plain.as<LoraConfig>().lora_alpha, 5 * std::sqrt(2.0), 1e-12);
}

}  // namespace
}  // namespace peft
