// Layer and model status, names and attributes of a PeftModel.

#include <gtest/gtest.h>

#include "peft/base/error.h"
#include "peft/base/warnings.h"
#include "tests/front/parts.h"

namespace peft {
namespace {

using namespace test;  // NOLINT: what the tests of several adapters share

Json python_status(const std::string& state) {
  return read_json_file(arithmetic("status.json")).at(state);
}

void expect_status(PeftModel& model, const std::string& state) {
  Json layers = Json::array();
  for (const auto& layer : model.get_layer_status()) layers.push_back(to_json(layer));
  const Json python = python_status(state);
  EXPECT_EQ(dump_json(layers), dump_json(python.at("layer_status"))) << state;
  EXPECT_EQ(dump_json(to_json(model.get_model_status())), dump_json(python.at("model_status")))
      << state;
}

PeftModelFor<Parts> fresh() {
  return get_peft_model(parts(), LoraConfig{.r = 2, .target_modules = {"emb", "lin", "conv"}});
}

void add_other(PeftModel& model) {
  model.add_adapter("other", LoraConfig{.r = 2,
                                        .target_modules = {"lin", "turned"},
                                        .modules_to_save = std::vector<std::string>{"classifier"}});
}

TEST(Status, IsPythonsInEveryState) {
  auto model = fresh();
  expect_status(model, "fresh");
  add_other(model);
  expect_status(model, "two");
  model.set_adapter({"default", "other"});
  expect_status(model, "both_active");
  model.merge_adapter({"default"});
  expect_status(model, "merged");
  model.unmerge_adapter();
  {
    const auto off = model.disable_adapter();
    expect_status(model, "disabled");
  }
  for (auto& attachment : model.tuner().attachments()) {
    if (attachment.found.site.module_name != "lin") continue;
    attachment.layer->set_enabled(false);
    attachment.layer->slots().set_requires_grad("default", false);
    attachment.layer->slots().set_requires_grad("other", false);
  }
  expect_status(model, "irregular");
  EXPECT_TRUE(is_irregular(model.get_model_status().enabled));
}

TEST(Status, AnIrregularModelIsWarnedOf) {
  auto model = fresh();
  model.tuner().attachments()[1].layer->set_enabled(false);
  std::vector<std::string> warnings;
  const auto former = set_warning_sink([&](const std::string& text) { warnings.push_back(text); });
  { const auto off = model.disable_adapter(); }
  set_warning_sink(former);
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("enabled and others that are disabled"), std::string::npos);
  EXPECT_EQ(std::get<bool>(model.get_model_status().enabled), true);
}

TEST(Status, AModelWithoutAdaptersHasNone) {
  auto model = fresh();
  model.unload();
  EXPECT_THROW(model.get_layer_status(), ConfigError);
  EXPECT_THROW(model.get_model_status(), ConfigError);
}

TEST(Attributes, AreThoseOfPython) {
  auto model = fresh();
  add_other(model);
  EXPECT_EQ(model.active_adapter(), "default");
  EXPECT_EQ(model.active_peft_config().as<LoraConfig>().r, 2);
  EXPECT_EQ(model.modules_to_save(), std::set<std::string>{"classifier"});
  EXPECT_EQ(model.base_model_torch_dtype(), at::kFloat);
  EXPECT_TRUE(model.prompt_encoder().empty() && model.prompt_tokens().empty());
  EXPECT_FALSE(model.word_embeddings().defined());
  model.set_adapter({"default", "other"});
  EXPECT_THROW(model.active_adapter(), ConfigError);
}

TEST(ByName, FindsModulesParametersAndBuffers) {
  auto model = fresh();
  const auto net = model.get_base_model();
  EXPECT_EQ(model.get_submodule("lin").get(), net->lin.ptr().get());
  EXPECT_EQ(model.get_submodule("base_model.model.lin").get(), net->lin.ptr().get());
  EXPECT_TRUE(model.get_parameter("base_model.model.lin.weight").is_same(net->lin->weight));
  EXPECT_EQ(model.get_parameter("lin.lora_A.default.weight").sizes(), (std::vector<int64_t>{2, 8}));
  EXPECT_EQ(dump_json(model.config()), "{}");
}

TEST(ByName, AMissingNameSaysWhichAreClose) {
  auto model = fresh();
  const auto text_of = [](const auto& call) -> std::string {
    try {
      call();
    } catch (const NotFoundError& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_NE(text_of([&] { model.get_submodule("linn"); }).find("Closest names: 'lin'"),
            std::string::npos);
  EXPECT_NE(text_of([&] { model.get_parameter("lin.weigth"); }).find("lin.weight"),
            std::string::npos);
  EXPECT_NE(text_of([&] { model.get_buffer("nothing"); }).find("get_buffer 'nothing'"),
            std::string::npos);
  EXPECT_NE(text_of([&] { model.config("hidden_size"); }).find("hidden_size"), std::string::npos);
}

}  // namespace
}  // namespace peft
