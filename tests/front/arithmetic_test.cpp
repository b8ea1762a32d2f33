// Conversion, swapping, rescaling, intruder dimensions and casts.

#include <gtest/gtest.h>

#include "peft/adapter/tag.h"
#include "peft/arithmetic.h"
#include "peft/base/error.h"
#include "peft/casts.h"
#include "peft/convert_to_lora.h"
#include "peft/tensor/tag_key.h"
#include "tests/front/parts.h"
#include "tests/front/support.h"

namespace peft {
namespace {

using namespace test;  // NOLINT: what the tests of several adapters share

TEST(Helpers, RescalingIsPythonsAndEndsWithItsScope) {
  const StateDict run = arithmetic_run();
  auto model = parts_with({"a"});
  const at::Tensor before = model->forward(run.at("input"));
  {
    const auto scope = rescale_adapter_scale(model, 0.5);
    expect_near(model->forward(run.at("input")), run.at("rescaled"), "rescaled");
  }
  EXPECT_TRUE(at::equal(model->forward(run.at("input")), before));
  model.unload();
  EXPECT_THROW((void)rescale_adapter_scale(model, 0.5), ConfigError);
}

TEST(Helpers, IntruderDimensionsAreReducedAsInPython) {
  const StateDict run = arithmetic_run();
  auto model = parts_with({"d"});
  std::vector<std::string> told;
  reduce_intruder_dimension(model, {.old_adapter_name = "d",
                                    .new_adapter_name = "reduced",
                                    .top_k = 4,
                                    .threshold_epsilon = 0.9,
                                    .log = [&](const std::string& text) { told.push_back(text); }});
  EXPECT_EQ(model.active_adapter(), "reduced");
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told[0].rfind("lin: Intruders: ", 0), 0u) << told[0];
  const at::Tensor ours = model.state_dict("reduced").at("base_model.model.lin.lora_B.weight");
  EXPECT_FALSE(at::allclose(ours, model.state_dict("d").at("base_model.model.lin.lora_B.weight")));
  // Python gives the new adapter a fresh copy of modules_to_save; here it is that of the old one.
  auto& saved = *model.tuner().saved_modules().front();
  saved.set_active("");
  expect_near(model->forward(run.at("input")), run.at("intruder"), "intruder");
}

struct SwapCase {
  const char *name, *first, *second;
};

TEST(Hotswap, ComputesWhatPythonDoesAndKeepsTheParameters) {
  const StateDict run = arithmetic_run();
  for (const SwapCase& swap :
       {SwapCase{"smaller", "large", "small"}, SwapCase{"larger", "small", "large"},
        SwapCase{"missing", "large", "other_lin"}}) {
    auto model = parts_with({swap.first});
    const at::Tensor parameter =
        model.get_parameter("lin.lora_A." + std::string(swap.first) + ".weight");
    hotswap_adapter(model, arithmetic(swap.second), swap.first);
    const at::Tensor y = model->forward(run.at("input"));
    expect_near(y, run.at("hotswap." + std::string(swap.name)), swap.name);
    EXPECT_TRUE(parameter.is_same(
        model.get_parameter("lin.lora_A." + std::string(swap.first) + ".weight")));
    // The config follows: what is saved loads as it computes.
    const TemporaryFolder folder("hotswap");
    model.save_pretrained(folder.path());
    auto again = PeftModel::from_pretrained(parts(), folder.path() / swap.first);
    expect_near(again->forward(run.at("input")), y, "saved after a swap");
  }
}

TEST(Hotswap, PaddedAdaptersComputeTheSameAndKeepTheirStorage) {
  const StateDict run = arithmetic_run();
  auto model = parts_with({"small"});
  prepare_model_for_compiled_hotswap(model, 6);
  expect_near(model->forward(run.at("input")), run.at("hotswap.prepared.before"), "padded");
  const at::Tensor parameter = model.get_parameter("lin.lora_A.small.weight");
  EXPECT_EQ(parameter.size(0), 6);
  const void* const data = parameter.data_ptr();
  hotswap_adapter(model, arithmetic("large"), "small");
  expect_near(model->forward(run.at("input")), run.at("hotswap.prepared"), "swapped");
  EXPECT_EQ(parameter.data_ptr(), data);
  EXPECT_THROW(prepare_model_for_compiled_hotswap(model, 5), ConfigError);
}

TEST(Hotswap, RefusesWhatDoesNotFitAndChangesNothing) {
  auto model = parts_with({"other_lin"});
  const at::Tensor x = arithmetic_run().at("input");
  const at::Tensor before = model->forward(x);
  EXPECT_THROW(hotswap_adapter(model, arithmetic("large"), "other_lin"), MismatchError);
  EXPECT_THROW(hotswap_adapter(model, arithmetic("small"), "nobody"), NotFoundError);
  model.merge_adapter();
  EXPECT_THROW(hotswap_adapter(model, arithmetic("other_lin"), "other_lin"), ConfigError);
  model.unmerge_adapter();
  EXPECT_TRUE(at::equal(model->forward(x), before));
}

TEST(Convert, WritesTheAdapterThatPythonMakes) {
  const StateDict run = arithmetic_run();
  const Json python = read_json_file(arithmetic("convert.json"));
  const std::pair<std::string, ConversionRank> cases[] = {{"2", int64_t{2}}, {"0.9", 0.9}};
  for (const auto& [name, rank] : cases) {
    auto model = parts_with({"d"});
    const TemporaryFolder folder("convert");
    save_as_lora(model, folder.path(), rank, "d");
    Json ours = read_json_file(folder.path() / "adapter_config.json");
    for (const auto& [key, value] : python.at(name).items()) {
      if (key == "auto_mapping" || key == "inference_mode" || key == "target_modules") continue;
      EXPECT_EQ(dump_json(ours.at(key)), dump_json(value)) << name << ": " << key;
    }
    auto again = PeftModel::from_pretrained(parts(), folder.path());
    EXPECT_TRUE(again.tuner().saved_modules().front()->has("default"));
    again.tuner().saved_modules().front()->set_active("");  // Python's test has no copy of it
    expect_near(again->forward(run.at("input")), run.at("convert." + name), "convert " + name);
  }
}

TEST(Convert, RefusesWhatItCannotExpress) {
  auto model = parts_with({"d", "a"});
  EXPECT_THROW(convert_to_lora(model, int64_t{0}, "d"), ConfigError);
  EXPECT_THROW(convert_to_lora(model, 1.5, "d"), ConfigError);
  EXPECT_THROW(convert_to_lora(model, int64_t{9}, "d"), ConfigError);
  EXPECT_THROW(convert_to_lora(model, int64_t{2}, "nobody"), NotFoundError);
  EXPECT_THROW(convert_to_lora(model, int64_t{2}, "a"), UnsupportedError);
}

TEST(Helpers, CastsKeepAdaptersOn) {
  auto model = get_peft_model(parts(), LoraConfig{.r = 2, .target_modules = {"lin"}});
  auto net = model.get_base_model();
  cast_mixed_precision_params(*net, at::kBFloat16);
  EXPECT_EQ(net->lin->weight.scalar_type(), at::kBFloat16);
  EXPECT_EQ(model.get_parameter("lin.lora_A.default.weight").scalar_type(), at::kFloat);
  EXPECT_TRUE(is_tagged(net->lin->weight));
  Parts other = parts();
  other->to(at::kHalf);
  prepare_model_for_kbit_training(*other);
  for (const at::Tensor& parameter : other->parameters()) {
    EXPECT_EQ(parameter.scalar_type(), at::kFloat);
    EXPECT_FALSE(parameter.requires_grad());
  }
}

TEST(Helpers, AFolderIsAnAdapterOrNot) {
  EXPECT_TRUE(check_if_peft_model(arithmetic("a")));
  EXPECT_FALSE(check_if_peft_model(arithmetic("")));
}

}  // namespace
}  // namespace peft
