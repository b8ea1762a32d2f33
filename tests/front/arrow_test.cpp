// Arrow: tokens are routed as in Python, and what cannot be routed is refused.

#include <gtest/gtest.h>

#include "peft/arrow_model.h"
#include "peft/base/error.h"
#include "peft/methods/lora/layer.h"
#include "tests/front/golden_run.h"
#include "tests/front/variant_models.h"
#include "tests/support/expect_message.h"

namespace peft {
namespace {

namespace fs = std::filesystem;
using namespace test;  // NOLINT: what the golden tests share

fs::path arrow_golden(const std::string& name) { return golden("../golden_arrow") / name; }

// The folders of a case whose names begin so, in their order.
std::vector<fs::path> folders_of(const std::string& name, const std::string& beginning) {
  std::vector<fs::path> folders;
  for (int i = 0;; ++i) {
    const fs::path folder = arrow_golden(name) / (beginning + std::to_string(i));
    if (!fs::exists(folder)) return folders;
    folders.push_back(folder);
  }
}

ArrowAdapters adapters_of(const std::string& name) {
  return {.tasks = folders_of(name, "task_"), .general = folders_of(name, "gks_")};
}

ArrowConfig settings_of(const std::string& name) {
  const PeftConfig config = read_adapter_config(arrow_golden(name) / "arrow_router");
  return ArrowConfig::parse(config.as<LoraConfig>().arrow_config);
}

template <typename Holder>
PeftModelFor<Holder> routed(const std::string& name) {
  return create_arrow_model(net_of<Holder>(arrow_golden(name)), adapters_of(name),
                            settings_of(name));
}

StateDict arrow_run(const std::string& name) {
  return tensors_of(arrow_golden(name) / "run.safetensors");
}

void expect_prototypes(const PeftModel& model, const StateDict& run) {
  const ArrowConfig settings =
      ArrowConfig::parse(model.peft_config("arrow_router").as<LoraConfig>().arrow_config);
  for (const Attachment& attachment : model.tuner().attachments()) {
    const auto& layer = dynamic_cast<const lora::LoraLayer&>(*attachment.layer);
    const at::Tensor python = run.at("prototypes." + layer.site().module_name);
    for (size_t i = 0; i < settings.task_adapter_names->size(); ++i) {
      const lora::LoraAdapter& task = layer.adapter(settings.task_adapter_names->at(i));
      expect_close(lora::arrow_prototype(task.a, task.b, settings.rng_seed),
                   python[static_cast<int64_t>(i)], layer.parameter_name());
    }
  }
}

template <typename Holder>
void expect_routed_like_python(const std::string& name) {
  const StateDict run = arrow_run(name);
  auto model = routed<Holder>(name);
  EXPECT_EQ(model.active_adapter(), "arrow_router");
  model.tuner().set_requires_grad("task_0", true);
  const at::Tensor x = run.at("input");
  const at::Tensor output = model.forward(x);
  expect_close(output, run.at("output"), "output");
  expect_prototypes(model, run);
  output.square().sum().backward();
  for (Attachment& attachment : model.tuner().attachments()) {
    const auto& layer = dynamic_cast<const lora::LoraLayer&>(*attachment.layer);
    const lora::LoraAdapter& task = layer.adapter("task_0");
    const std::string key = "grad.base_model.model." + layer.site().module_name;
    expect_close(task.a.grad(), run.at(key + ".lora_A.weight"), key + " A");
    expect_close(task.b.grad(), run.at(key + ".lora_B.weight"), key + " B");
  }
  for (const auto& [key, tensor] : model.state_dict("task_0")) {
    expect_close(tensor, run.at("task_0." + key), key);
  }
  model.eval();
  const at::NoGradGuard no_grad;
  {
    const MixedBatch rows = model.mixed_batch({"task_1", "__base__", "arrow_router"});
    expect_close(model.forward(x), run.at("mixed"), "rows of their own");
  }
  model.load_adapter(arrow_golden(name) / "late", "late");
  expect_close(model.forward(x), run.at("late"), "with one more task");
}

TEST(GoldenArrow, TokensGetSharesOfTwoOfThree) {
  expect_routed_like_python<models::Mixed>("routed");
}

TEST(GoldenArrow, OneAdapterTakesTheToken) {
  expect_routed_like_python<models::Mixed>("one_of_three");
}

TEST(GoldenArrow, GeneralKnowledgeIsTakenOutOnce) {
  expect_routed_like_python<models::Mixed>("without_general");
  auto model = routed<models::Mixed>("without_general");
  const at::Tensor x = arrow_run("without_general").at("input");
  const at::Tensor first = model.forward(x);
  EXPECT_TRUE(at::equal(model.forward(x), first));
}

TEST(GoldenArrow, TransposedLayers) { expect_routed_like_python<models::Transposed>("transposed"); }

TEST(GoldenArrow, TheRouterIsSavedAsPythonSavesIt) {
  auto model = routed<models::Mixed>("without_general");
  const TemporaryFolder ours("arrow");
  model.save_pretrained(ours.path(), {.selected_adapters = {"arrow_router"}});
  Json written = read_json_file(ours.path() / "arrow_router" / "adapter_config.json");
  Json python = read_json_file(arrow_golden("without_general/arrow_router/adapter_config.json"));
  for (Json* config : {&written, &python}) {
    config->erase("auto_mapping");
    std::sort((*config)["target_modules"].begin(), (*config)["target_modules"].end());
  }
  EXPECT_EQ(dump_json(written), dump_json(python));
  // Read back beside its tasks it routes again.
  auto again =
      PeftModel::from_pretrained(net_of<models::Mixed>(arrow_golden("routed")),
                                 arrow_golden("routed/task_0"), {.adapter_name = "task_0"});
  again.load_adapter(arrow_golden("routed/arrow_router"), "arrow_router");
  again.load_adapter(arrow_golden("routed/task_1"), "task_1");
  again.load_adapter(arrow_golden("routed/task_2"), "task_2");
  again.set_adapter("arrow_router");
  const StateDict run = arrow_run("routed");
  expect_close(again.forward(run.at("input")), run.at("output"), "read back");
}

TEST(Arrow, ARouterHasNoWeightOfItsOwn) {
  auto model = routed<models::Mixed>("routed");
  expect_message<UnsupportedError>({"Arrow router"}, [&] { model.merge_adapter(); });
  const at::Tensor weight = model.get_base_model()->lin1->weight;
  expect_message<UnsupportedError>({"lin1.weight", "Arrow"}, [&] { effective(weight); });
  model.set_adapter("task_0");
  EXPECT_NO_THROW(model.merge_adapter());
}

TEST(Arrow, TasksMayComeAndGo) {
  auto model = routed<models::Mixed>("routed");
  const at::NoGradGuard no_grad;
  const at::Tensor x = arrow_run("routed").at("input");
  const at::Tensor before = model.forward(x);
  model.delete_adapter("task_2");
  const at::Tensor fewer = model.forward(x);
  EXPECT_FALSE(at::allclose(fewer, before)) << "top_k of 2 is now both";
  model.load_adapter(arrow_golden("routed/task_2"), "task_2");
  expect_close(model.forward(x), before, "the same tasks again");
  model.delete_adapter("task_0");
  model.delete_adapter("task_1");
  expect_message<ConfigError>({"top_k", "at most 1", "got 2"}, [&] { model.forward(x); });
}

TEST(Arrow, ALayerWithoutTasksComputesAsItsBase) {
  models::Mixed net;
  const at::NoGradGuard no_grad;
  const at::Tensor x = torch::randint(0, 11, {2, 3});
  const at::Tensor before = net->forward(x);
  LoraConfig config{.r = 2, .target_modules = {"lin1"}, .init_lora_weights = false};
  config.arrow_config = Json::object();
  auto model = get_peft_model(net, config, {.adapter_name = "arrow_router"});
  expect_close(model.forward(x), before, "no task adapter");
}

// What a model with these adapters meets; it has no adapter afterwards.
template <typename Error>
void expect_no_arrow_model(const std::vector<std::string>& parts, const ArrowAdapters& adapters,
                           const ArrowConfig& settings = {.top_k = 1}) {
  models::Mixed net = net_of<models::Mixed>(arrow_golden("routed"));
  const auto names = net->named_parameters().keys();
  expect_message<Error>(parts, [&] { create_arrow_model(net, adapters, settings); });
  EXPECT_EQ(net->named_parameters().keys(), names);
}

// A folder with an adapter of one's own for the model.
fs::path made_adapter(const TemporaryFolder& folder, const std::string& name,
                      const LoraConfig& config) {
  auto model = get_peft_model(models::Mixed(), config);
  model.save_pretrained(folder.path() / name);
  return folder.path() / name;
}

TEST(Arrow, AdaptersThatDoNotFitTogetherAreRefused) {
  const TemporaryFolder folder("arrow_refused");
  const auto made = [&](const std::string& name, const LoraConfig& config) {
    return made_adapter(folder, name, config);
  };
  const fs::path first = made("first", {.r = 2, .target_modules = {"lin1"}});
  const fs::path wide = made("wide", {.r = 3, .target_modules = {"lin1"}});
  const fs::path other = made("other", {.r = 2, .target_modules = {"lin2"}});
  const fs::path lookup = made("lookup", {.r = 2, .target_modules = {"emb"}});
  const fs::path dora = made("dora", {.r = 2, .target_modules = {"lin1"}, .use_dora = true});
  const fs::path biased = made("biased", {.r = 2, .target_modules = {"lin1"}, .lora_bias = true});
  expect_no_arrow_model<ConfigError>({"rank mismatch", "'task_1'", "2", "3"},
                                     {.tasks = {first, wide}});
  expect_no_arrow_model<ConfigError>({"target_modules mismatch", "'lin1'", "'lin2'"},
                                     {.tasks = {first, other}});
  expect_no_arrow_model<ConfigError>({"linear", "emb.weight", "Embedding"}, {.tasks = {lookup}});
  expect_no_arrow_model<ConfigError>({"'task_1'", "plain LoRA", "variant"},
                                     {.tasks = {first, dora}});
  expect_no_arrow_model<ConfigError>({"'task_0'", "plain LoRA", "lora_bias"}, {.tasks = {biased}});
  expect_no_arrow_model<ConfigError>({"rank mismatch", "'gks_0'"},
                                     {.tasks = {first}, .general = {wide}},
                                     {.top_k = 1, .use_gks = true});
}

TEST(Arrow, WhatIsMissingIsSaidBeforeAnythingIsLoaded) {
  const fs::path task = arrow_golden("routed/task_0");
  expect_no_arrow_model<ConfigError>({"at least one adapter path"}, {});
  expect_no_arrow_model<ConfigError>({"general LoRA paths", "GenKnowSub"}, {.tasks = {task}},
                                     {.top_k = 1, .use_gks = true});
  expect_no_arrow_model<NotFoundError>({"does not contain 'adapter_config.json'"},
                                       {.tasks = {task, arrow_golden("")}});
  expect_no_arrow_model<ConfigError>({"top_k", "got 0"}, {.tasks = {task}}, {.top_k = 0});
  expect_no_arrow_model<ConfigError>({"router_temperature", "got 0.0"}, {.tasks = {task}},
                                     {.top_k = 1, .router_temperature = 0.0});
}

TEST(Arrow, ItsSettingsAreChecked) {
  const auto check = [](const char* settings) {
    LoraConfig config{.target_modules = {"lin1"}};
    config.arrow_config = Json::parse(settings);
    config.validate();
  };
  expect_message<ConfigError>({"arrow_config.top_k", "positive"},
                              [&] { check(R"({"top_k": -1})"); });
  expect_message<ConfigError>({"arrow_config.router_temperature"},
                              [&] { check(R"({"router_temperature": -0.5})"); });
  expect_message<ConfigError>({"arrow_config.rng_seed", "an integer or null"},
                              [&] { check(R"({"rng_seed": 1.5})"); });
  expect_message<ConfigError>({"'topk'"}, [&] { check(R"({"topk": 1})"); });
  expect_message<ConfigError>({"arrow_config", "an object or null"}, [&] { check("3"); });
}

TEST(Arrow, GeneralAdaptersThatAreGoneAreMissed) {
  auto model = routed<models::Mixed>("without_general");
  model.delete_adapter("gks_1");
  expect_message<ConfigError>({"'gks_1'", "use_gks"},
                              [&] { model.forward(arrow_run("without_general").at("input")); });
}

}  // namespace
}  // namespace peft
