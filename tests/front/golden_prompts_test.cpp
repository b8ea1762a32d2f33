// Prompts of every method against Python: first values, outputs, gradients, steps, what generation
// reads and writes, and files.

#include <gtest/gtest.h>

#include "peft/adapter_folder.h"
#include "peft/base/error.h"
#include "tests/front/golden_prompts.h"
#include "tests/front/support.h"
#include "tests/support/collected_warnings.h"

namespace peft {
namespace {

using namespace test;  // NOLINT: what the golden tests share

class GoldenPrompts : public testing::TestWithParam<std::string> {
 protected:
  const PromptCase given_{GetParam()};
};

std::vector<std::string> case_names() {
  std::vector<std::string> names;
  const Json cases = read_json_file(golden_prompts("cases.json"));
  for (const auto& [name, base] : cases.items()) names.push_back(name);
  return names;
}

TEST_P(GoldenPrompts, BeginsAsInPython) {
  const LanguageModel base = given_.base();
  at::manual_seed(7);
  const PeftModelForCausalLM model(base, given_.config());
  const auto python = given_.part("init.");
  const auto ours = encoder_of(model);
  ASSERT_EQ(ours.size(), python.size());
  for (const auto& [name, tensor] : ours) {
    ASSERT_TRUE(python.contains(name)) << name;
    expect_near(tensor, python.at(name), name, 1e-6);
  }
}

TEST_P(GoldenPrompts, ComputesAndLearnsAsPythonDoes) {
  PeftModelForCausalLM model = learning_model(given_);
  // The copies of modules_to_save come with the file; what makes a prompt does not.
  if (model.modules_to_save()) {
    model.load_state_dict(read_adapter_weights(golden_prompts(given_.name)));
  }
  expect_near(model.forward(given_.input(), given_.call()).narrow(2, 0, 40),
              given_.run.at("logits"), "logits");
  const at::Tensor labels = given_.run.at("labels");
  if (given_.run.at("loss").isnan().item<bool>()) {
    EXPECT_THROW(model.loss(given_.input(), labels, given_.call()), ConfigError)
        << "no label is left, of which Python makes a number that is none";
    return;
  }
  const at::Tensor loss = model.loss(given_.input(), labels, given_.call());
  expect_near(loss.reshape({1}), given_.run.at("loss"), "loss");
  loss.backward();
  const auto grads = given_.part("grad.");
  for (const auto& [name, tensor] : encoder_of(model)) {
    EXPECT_EQ(tensor.grad().defined(), grads.contains(name)) << name;
    if (grads.contains(name)) expect_near(tensor.grad(), grads.at(name), "gradient of " + name);
  }
  std::vector<at::Tensor> learning;
  for (const auto& [name, tensor] : model.trainable_parameters()) {
    EXPECT_TRUE(name.starts_with("prompt_encoder.default.") || model.modules_to_save()) << name;
    learning.push_back(tensor);
  }
  torch::optim::SGD sgd(learning, torch::optim::SGDOptions(0.05));
  for (int step = 0; step < 3; ++step) {
    sgd.zero_grad();
    model.loss(given_.input(), labels, given_.call()).backward();
    sgd.step();
  }
  const auto after = given_.part("after.");
  for (const auto& [name, tensor] : encoder_of(model)) {
    expect_near(tensor, after.at(name), "after three steps " + name, 1e-4);
  }
}

TEST_P(GoldenPrompts, GivesPythonsPrompt) {
  const PeftModelForCausalLM model = learning_model(given_);
  at::Tensor tasks = given_.find("task_ids");
  if (tasks.defined()) tasks = tasks.narrow(0, 0, 2);
  const Prompt prompt = model.get_prompt(2, tasks);
  if (const at::Tensor* embeddings = std::get_if<at::Tensor>(&prompt)) {
    expect_near(*embeddings, given_.run.at("prompt"), "prompt");
    return;
  }
  for (const std::optional<int64_t> length :
       {std::optional<int64_t>(), std::optional<int64_t>(12)}) {
    const auto cache = std::get<1>(model.get_prompt(2, tasks, length));
    EXPECT_EQ(cache->max_length(), length);
    ASSERT_EQ(cache->layers(), 2);
    for (int64_t layer = 0; layer < 2; ++layer) {
      const auto [keys, values] = cache->layer(layer);
      expect_near(keys, given_.run.at("prompt.keys." + std::to_string(layer)), "keys");
      expect_near(values, given_.run.at("prompt.values." + std::to_string(layer)), "values");
    }
  }
}

void expect_prepared(const PreparedInputs& ours, const PromptCase& given, const std::string& step) {
  const auto compare = [&](const std::string& name, const at::Tensor& tensor) {
    const at::Tensor python = given.find(step + ".out." + name);
    ASSERT_EQ(tensor.defined(), python.defined()) << step << " " << name;
    if (tensor.defined()) expect_near(tensor, python, step + " " + name);
  };
  compare("input_ids", ours.input_ids);
  compare("inputs_embeds", ours.inputs_embeds);
  compare("attention_mask", ours.attention_mask);
  compare("position_ids", ours.position_ids);
  EXPECT_EQ(ours.cache->length(), given.run.at(step + ".out.cache_length").item<int64_t>()) << step;
}

TEST_P(GoldenPrompts, PreparesWhatGenerationReads) {
  const PeftModelForCausalLM model = learning_model(given_);
  const LanguageModel base = model.get_base_model();
  base->eval();
  const at::NoGradGuard no_grad;
  for (const bool is_static : {false, true}) {
    const auto cache = is_static ? base->new_static_cache(40) : base->new_cache();
    for (const std::string step : {"step0", "step1"}) {
      const PreparedInputs prepared = model.prepare_inputs_for_generation(
          {.input_ids = given_.run.at(step + ".in.input_ids"),
           .attention_mask = given_.find(step + ".in.attention_mask"),
           .position_ids = given_.find(step + ".in.position_ids"),
           .cache = cache.get()},
          given_.find("task_ids"));
      expect_prepared(prepared, given_, step);
      base->hidden_states(prepared.input());
    }
  }
}

std::vector<std::vector<int64_t>> rows_of(const at::Tensor& ids, const at::Tensor& mask) {
  std::vector<std::vector<int64_t>> rows;
  for (int64_t row = 0; row < ids.size(0); ++row) {
    const at::Tensor tokens = ids[row].masked_select(mask[row].ne(0)).contiguous();
    const auto* begin = tokens.const_data_ptr<int64_t>();
    rows.emplace_back(begin, begin + tokens.numel());
  }
  return rows;
}

void expect_generated(PeftModelForCausalLM& model, const PromptCase& given) {
  const auto prompts = rows_of(given.run.at("input_ids"), given.run.at("attention_mask"));
  const at::Tensor python = given.run.at("generated");
  for (const char* cache : {"dynamic", "static"}) {
    const auto rows =
        model.generate(prompts, {.max_new_tokens = 6, .cache_implementation = cache}, given.call());
    for (size_t row = 0; row < rows.size(); ++row) {
      EXPECT_TRUE(
          at::equal(at::tensor(rows[row].tokens, at::kLong), python[static_cast<int64_t>(row)]))
          << cache << ", row " << row;
    }
  }
}

TEST_P(GoldenPrompts, GeneratesWhatPythonGenerates) {
  PeftModelForCausalLM model = learning_model(given_);
  if (model.modules_to_save()) {
    model.load_state_dict(read_adapter_weights(golden_prompts(given_.name)));
  }
  model.eval();
  expect_generated(model, given_);
}

TEST_P(GoldenPrompts, FilesCrossInBothDirections) {
  const std::filesystem::path folder = golden_prompts(given_.name);
  auto loaded = PeftModelForCausalLM::from_pretrained(given_.base(), folder);
  expect_near(loaded.forward(given_.input(), given_.call()).narrow(2, 0, 40),
              given_.run.at("logits"), "logits of the loaded prompt");
  expect_generated(loaded, given_);

  PeftModelForCausalLM model = learning_model(given_);
  if (model.modules_to_save()) model.load_state_dict(read_adapter_weights(folder));
  const TemporaryFolder ours("prompts_" + given_.name);
  model.save_pretrained(ours.path());
  const StateDict written = read_adapter_weights(ours.path());
  const StateDict python = read_adapter_weights(folder);
  ASSERT_EQ(written.size(), python.size());
  for (const auto& [name, tensor] : python) expect_near(written.at(name), tensor, name, 1e-6);
  Json config = read_json_file(ours.path() / "adapter_config.json");
  const Json theirs = read_json_file(folder / "adapter_config.json");
  for (const char* place : {"base_model_name_or_path", "tokenizer_name_or_path",
                            "prompt_tuning_init_state_dict_path"}) {
    if (theirs.contains(place)) config[place] = theirs[place];
  }
  EXPECT_EQ(dump_json(config, {.sort_keys = true}), dump_json(theirs, {.sort_keys = true}));
}

INSTANTIATE_TEST_SUITE_P(Cases, GoldenPrompts, testing::ValuesIn(case_names()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace peft
