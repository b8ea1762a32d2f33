// What every method promises: a method of methods.def and its cases.json are enrolled by existing.

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <fstream>

#include "peft/auto.h"
#include "peft/base/error.h"
#include "peft/base/json_text.h"
#include "peft/formats/safetensors_file.h"
#include "peft/methods/registry.h"
#include "peft/peft_model_for_causal_lm.h"
#include "tests/front/support.h"
#include "tests/support/collected_warnings.h"

namespace peft {
namespace {

using test::TemporaryFolder;

const std::filesystem::path kTests = std::filesystem::path(PEFT_SOURCE_DIR) / "tests";
constexpr double kTolerance = 2e-5;
// Of the largest score, where the base computes with 8 bits.
constexpr double kSixteenBitTolerance = 0.1;
constexpr const char* kWeights = "adapter_model.safetensors";

LanguageModel base_model() {
  return load_language_model(
      formats::Checkpoint::open(kTests / "front/golden_prompts/bases/llama"));
}

std::filesystem::path cases_file(const Method& method) {
  return kTests / "methods" / method_folder(method) / "cases.json";
}

struct MethodCase {
  const Method* method = nullptr;
  std::string name;
  Json config;
  bool begins_as_base = false;

  friend void PrintTo(const MethodCase& given, std::ostream* out) { *out << given.name; }
};

std::vector<MethodCase> method_cases() {
  std::vector<MethodCase> cases;
  for (const Method* method : all_methods()) {
    const Json file = read_json_file(cases_file(*method));
    for (const Json& one : file) {
      cases.push_back(
          {.method = method,
           .name = std::string(method_folder(*method)) + "_" + one.at("name").get<std::string>(),
           .config = one.at("config"),
           .begins_as_base = one.at("begins_as_base").get<bool>()});
    }
  }
  return cases;
}

double difference(const at::Tensor& a, const at::Tensor& b) {
  if (a.sizes() != b.sizes()) return std::numeric_limits<double>::infinity();
  const at::Tensor x = a.to(at::kDouble), y = b.to(at::kDouble);
  return ((x - y).abs().max() / std::max(1.0, y.abs().max().item<double>())).item<double>();
}

class Conformance : public testing::TestWithParam<MethodCase> {
 protected:
  PeftConfig config() const { return parse_config(GetParam().config, GetParam().name); }
  bool is_prompt() const { return GetParam().method->is_prompt_learning(); }
  bool adapts_layers() const { return GetParam().method->make_layer != nullptr; }

  PeftModelForCausalLM model(at::ScalarType dtype = at::kFloat) const {
    torch::manual_seed(5);
    const LanguageModel base = base_model();
    base->to(dtype);
    return PeftModelForCausalLM(base, config());
  }

  // A new adapter changes nothing, or is random: one that has learnt changes what is computed.
  static void randomise(PeftModel& model, const std::string& adapter = "default") {
    const at::NoGradGuard no_grad;
    for (const auto& [name, tensor] : model.trainable_parameters()) {
      const bool other = adapter != "default" && name.find("." + adapter) == std::string::npos;
      if (!other) tensor.add_(0.2 * torch::randn_like(tensor));
    }
  }
  PeftModelForCausalLM trained_model(at::ScalarType dtype = at::kFloat) const {
    PeftModelForCausalLM adapted = model(dtype);
    randomise(adapted);
    adapted.eval();
    return adapted;
  }

  static at::Tensor ids() {
    return at::tensor({4, 8, 15, 16, 23, 42, 9, 7, 3, 11, 19, 5}, at::kLong).view({2, 6});
  }
  static LanguageModelInput input() {
    static const at::Tensor tokens = ids();
    return {.input_ids = tokens};
  }
  CausalLMCall call() const {
    CausalLMCall given;
    if (GetParam().config.contains("num_tasks")) given.task_ids = at::tensor({1, 0}, at::kLong);
    return given;
  }
  // Of the tokens alone: a prompt of embeddings has scores before theirs.
  at::Tensor scores(PeftModelForCausalLM& model) const {
    const at::NoGradGuard no_grad;
    const at::Tensor all = model.forward(input(), call());
    return all.slice(1, all.size(1) - ids().size(1)).clone();
  }
  at::Tensor loss(PeftModelForCausalLM& model) const { return model.loss(input(), ids(), call()); }
  static at::Tensor base_scores() {
    const at::NoGradGuard no_grad;
    return base_model()->forward(input());
  }

  const test::CollectedWarnings warnings;
};

TEST_P(Conformance, ItsConfigComesBackWithKeysThatNobodyKnows) {
  Json file = GetParam().config;
  file["a_key_of_a_later_version"] = {{"x", 3}};
  const PeftConfig read = parse_config(file, "file");
  const Json written = read.to_json();
  for (const auto& [key, value] : file.items()) EXPECT_EQ(written.at(key), value) << key;
  EXPECT_EQ(parse_config(written, "again").to_json(), written);
}

TEST_P(Conformance, BeginsAsTheBaseComputesWhereThatIsPromised) {
  PeftModelForCausalLM adapted = model();
  adapted.eval();
  const double moved = difference(scores(adapted), base_scores());
  if (GetParam().begins_as_base) {
    EXPECT_LT(moved, kTolerance);
  } else {
    EXPECT_GT(moved, 1e-3);
  }
  PeftModelForCausalLM trained = trained_model();
  EXPECT_GT(difference(scores(trained), base_scores()), 1e-3);
}

TEST_P(Conformance, ItsParametersAloneLearnAndAllOfThemDo) {
  PeftModelForCausalLM adapted = trained_model();
  adapted.train();
  loss(adapted).backward();
  std::set<std::string> learning;
  for (const auto& [name, tensor] : adapted.trainable_parameters()) {
    learning.insert(name);
    ASSERT_TRUE(tensor.grad().defined()) << name;
    EXPECT_TRUE(tensor.grad().isfinite().all().item<bool>()) << name;
    EXPECT_TRUE(tensor.grad().ne(0).any().item<bool>()) << name;
  }
  EXPECT_FALSE(learning.empty());
  for (const auto& [name, tensor] : adapted.named_parameters()) {
    EXPECT_EQ(tensor.grad().defined(), learning.contains(name)) << name;
    EXPECT_EQ(tensor.requires_grad(), learning.contains(name)) << name;
  }
}

TEST_P(Conformance, TrainingLowersTheLoss) {
  PeftModelForCausalLM adapted = model();
  adapted.train();
  std::vector<at::Tensor> learning;
  for (const auto& [name, tensor] : adapted.trainable_parameters()) learning.push_back(tensor);
  torch::optim::AdamW optimizer(learning, torch::optim::AdamWOptions(0.005));
  const double before = loss(adapted).item<double>();
  for (int step = 0; step < 30; ++step) {
    optimizer.zero_grad();
    loss(adapted).backward();
    optimizer.step();
  }
  EXPECT_LT(loss(adapted).item<double>(), 0.995 * before);
}

TEST_P(Conformance, RecomputingGivesTheSameGradientsOrIsRefused) {
  PeftModelForCausalLM adapted = trained_model(), again = trained_model();
  adapted.train();
  again.train();
  loss(adapted).backward();
  again.get_base_model()->set_gradient_checkpointing(true);
  if (GetParam().method->prompt_is_cache) {
    EXPECT_THROW(loss(again), ConfigError);
    return;
  }
  loss(again).backward();
  const auto expected = adapted.trainable_parameters(), got = again.trainable_parameters();
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_LT(difference(got[i].second.grad(), expected[i].second.grad()), kTolerance)
        << got[i].first;
  }
}

TEST_P(Conformance, WhatIsSavedIsLoadedWithTheSameScores) {
  PeftModelForCausalLM adapted = trained_model();
  const TemporaryFolder folder("conformance"), second("conformance_again");
  adapted.save_pretrained(folder.path());
  auto loaded = PeftModelForCausalLM::from_pretrained(base_model(), folder.path());
  EXPECT_LT(difference(scores(loaded), scores(adapted)), kTolerance);
  // As in Python, a prompt of a file may learn on: its numbers are a new beginning.
  EXPECT_TRUE(loaded.trainable_parameters().empty() || !adapts_layers());
  loaded.save_pretrained(second.path());
  const auto first_file = formats::SafetensorsFile(folder.path() / kWeights).load_all();
  const auto second_file = formats::SafetensorsFile(second.path() / kWeights).load_all();
  ASSERT_EQ(second_file.size(), first_file.size());
  for (const auto& [key, tensor] : first_file) {
    ASSERT_TRUE(second_file.contains(key)) << key;
    EXPECT_TRUE(at::equal(second_file.at(key), tensor)) << key;
  }
}

TEST_P(Conformance, ALoadedAdapterLearnsOnOrIsRefused) {
  PeftModelForCausalLM adapted = trained_model();
  const TemporaryFolder folder("conformance");
  adapted.save_pretrained(folder.path());
  const auto load = [&] {
    return PeftModelForCausalLM::from_pretrained(base_model(), folder.path(),
                                                 {.is_trainable = true});
  };
  if (is_prompt()) {
    EXPECT_THROW(load(), ConfigError);
    return;
  }
  EXPECT_EQ(load().trainable_parameters().size(), adapted.trainable_parameters().size());
}

TEST_P(Conformance, DisablingGivesTheBaseAndEnablingTheAdapter) {
  PeftModelForCausalLM adapted = trained_model();
  const at::Tensor before = scores(adapted);
  {
    const auto off = adapted.disable_adapter();
    EXPECT_LT(difference(scores(adapted), base_scores()), kTolerance);
    const auto nested = adapted.disable_adapter();
    EXPECT_LT(difference(scores(adapted), base_scores()), kTolerance);
  }
  EXPECT_LT(difference(scores(adapted), before), kTolerance);
}

TEST_P(Conformance, SeveralAdaptersAreSwitchedAndTakenAway) {
  PeftModelForCausalLM adapted = trained_model();
  const at::Tensor first = scores(adapted);
  const PeftConfig plain = config();
  const std::string* bias = plain.shared().bias;
  if (bias != nullptr && *bias != "none") return;  // one adapter alone may train biases
  adapted.add_adapter("other", config());
  EXPECT_EQ(adapted.active_adapter(), "default");
  EXPECT_LT(difference(scores(adapted), first), kTolerance);
  adapted.set_adapter("other");
  randomise(adapted, "other");
  adapted.eval();
  const at::Tensor second = scores(adapted);
  EXPECT_GT(difference(second, first), 1e-3);
  adapted.set_adapter("default");
  EXPECT_LT(difference(scores(adapted), first), kTolerance);
  adapted.delete_adapter("other");
  EXPECT_LT(difference(scores(adapted), first), kTolerance);
  EXPECT_THROW(adapted.set_adapter("other"), Error);
  EXPECT_LT(difference(scores(adapted), first), kTolerance) << "what is refused changes nothing";
  adapted.delete_adapter("default");
  EXPECT_LT(difference(scores(adapted), base_scores()), kTolerance);
}

TEST_P(Conformance, MergesOrSaysThatItCannot) {
  PeftModelForCausalLM adapted = trained_model();
  const at::Tensor before = scores(adapted);
  if (!GetParam().method->can_merge) {
    EXPECT_THROW(adapted.merge_adapter(), Error);
    EXPECT_THROW(adapted.merge_and_unload(), Error);
    EXPECT_LT(difference(scores(adapted), before), kTolerance);
    return;
  }
  adapted.merge_adapter();
  EXPECT_LT(difference(scores(adapted), before), kTolerance);
  adapted.unmerge_adapter();
  EXPECT_LT(difference(scores(adapted), before), kTolerance);
  const LanguageModel merged = adapted.merge_and_unload();
  const at::NoGradGuard no_grad;
  EXPECT_LT(difference(merged->forward(input()), before), kTolerance);
}

TEST_P(Conformance, UnloadingLeavesTheBase) {
  // As in Python, a module that was saved in full stays in the place of the base's.
  if (GetParam().config.contains("modules_to_save")) return;
  PeftModelForCausalLM adapted = trained_model();
  const LanguageModel base = adapted.unload();
  const at::NoGradGuard no_grad;
  EXPECT_LT(difference(base->forward(input()), base_scores()), kTolerance);
}

TEST_P(Conformance, OnABaseOf16BitsTheAdapterStaysFloat32) {
  PeftModelForCausalLM wide = trained_model();
  PeftModelForCausalLM adapted = model(at::kBFloat16);
  // As in Python, whole modules and the prompts of attention layers are copies of the base's kind.
  for (const auto& [name, tensor] : adapted.trainable_parameters()) {
    const bool base_kind = name.find("modules_to_save") != std::string::npos ||
                           GetParam().method->attention != nullptr;
    EXPECT_EQ(tensor.scalar_type(), base_kind ? at::kBFloat16 : at::kFloat) << name;
  }
  const at::NoGradGuard no_grad;
  const auto values = wide.trainable_parameters();
  size_t index = 0;
  for (const auto& [name, tensor] : adapted.trainable_parameters()) {
    tensor.copy_(values[index++].second);
  }
  adapted.eval();
  EXPECT_LT(difference(scores(adapted), scores(wide)), kSixteenBitTolerance);
}

TEST_P(Conformance, GeneratesTheSameWithEveryCache) {
  PeftModelForCausalLM adapted = trained_model();
  const std::vector<std::vector<int64_t>> prompts{{4, 8, 15}, {16, 23, 42, 7}};
  std::vector<std::vector<int64_t>> rows;
  for (const char* cache : {"dynamic", "static"}) {
    const GenerateOptions options{.max_new_tokens = 6, .cache_implementation = cache};
    for (const Continuation& row : adapted.generate(prompts, options, call())) {
      rows.push_back(row.tokens);
    }
  }
  EXPECT_EQ(rows[0], rows[2]);
  EXPECT_EQ(rows[1], rows[3]);
  EXPECT_FALSE(rows[0].empty());
}

TEST_P(Conformance, ItsStatusTellsWhatItIs) {
  PeftModelForCausalLM adapted = model();
  if (!adapts_layers()) {
    EXPECT_THROW(adapted.get_model_status(), UnsupportedError);
    return;
  }
  const TunerModelStatus status = adapted.get_model_status();
  ASSERT_EQ(status.peft_types.size(), 1U);
  EXPECT_EQ(status.peft_types.front().second, GetParam().method->name);
  EXPECT_EQ(status.available_adapters, std::vector<std::string>{"default"});
  EXPECT_GT(status.trainable_params, 0);
  EXPECT_LT(status.trainable_params, status.total_params);
  EXPECT_EQ(status.trainable_params, adapted.get_nb_trainable_parameters().trainable);
}

// Files that are damaged, or lack a part.
TEST_P(Conformance, AFileThatDoesNotDoLeavesTheModel) {
  PeftModelForCausalLM adapted = trained_model();
  const at::Tensor before = scores(adapted);
  const TemporaryFolder folder("conformance");
  adapted.save_pretrained(folder.path());
  const auto expect_refused = [&](const std::string& what) {
    EXPECT_THROW(adapted.load_adapter(folder.path(), "damaged"), Error) << what;
    EXPECT_LT(difference(scores(adapted), before), kTolerance) << what;
    EXPECT_EQ(adapted.peft_config().size(), 1U) << what;
    EXPECT_EQ(adapted.active_adapters(), std::vector<std::string>{"default"}) << what;
  };
  const auto size = std::filesystem::file_size(folder.path() / kWeights);
  std::filesystem::resize_file(folder.path() / kWeights, size - 5);
  expect_refused("a file cut short");
  std::ofstream(folder.path() / kWeights) << "no tensors";
  expect_refused("a file of something else");
  std::filesystem::remove(folder.path() / kWeights);
  expect_refused("no file");
  adapted.save_pretrained(folder.path());
  std::ofstream(folder.path() / "adapter_config.json") << R"({"peft_type": "NOBODY_KNOWS"})";
  expect_refused("a method that nobody knows");
  std::ofstream(folder.path() / "adapter_config.json") << "{";
  expect_refused("no JSON");
}

INSTANTIATE_TEST_SUITE_P(Methods, Conformance, testing::ValuesIn(method_cases()),
                         [](const auto& info) { return info.param.name; });

TEST(ConformanceFiles, EveryMethodHasItsPage) {
  for (const Method* method : all_methods()) {
    const auto page = std::filesystem::path(PEFT_SOURCE_DIR) / "peft/methods" /
                      method_folder(*method) / "README.md";
    std::ifstream in(page);
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    EXPECT_NE(text.find("Followed: "), std::string::npos) << page << ": the file of PEFT";
    EXPECT_NE(text.find("## Differences from Python"), std::string::npos) << page;
    EXPECT_NE(text.find("arxiv.org"), std::string::npos) << page << ": the paper";
  }
}

}  // namespace
}  // namespace peft
