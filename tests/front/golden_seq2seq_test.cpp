// Adapters of encoder-decoders against Python: outputs, losses, gradients, steps, generation,
// files.

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "peft/adapter_folder.h"
#include "peft/auto.h"
#include "peft/auto_peft_model.h"
#include "peft/base/error.h"
#include "peft/base/json_text.h"
#include "peft/formats/safetensors_file.h"
#include "peft/methods/registry.h"
#include "peft/peft_model_for_seq2seq_lm.h"
#include "tests/front/support.h"

namespace peft {
namespace {

std::filesystem::path golden_seq2seq(const std::string& name) {
  return std::filesystem::path(PEFT_SOURCE_DIR) / "tests/front/golden_seq2seq" / name;
}

Seq2SeqModel base_of_case(const std::string& name) {
  const Json bases = read_json_file(golden_seq2seq("cases.json"));
  const auto folder = golden_seq2seq("bases") / bases[name].get<std::string>();
  return std::dynamic_pointer_cast<Seq2SeqModelImpl>(
      load_model(formats::Checkpoint::open(folder), ModelTask::kSeq2SeqLM));
}

std::vector<std::string> seq2seq_cases() {
  std::vector<std::string> names;
  const Json cases = read_json_file(golden_seq2seq("cases.json"));
  for (const auto& [name, base] : cases.items()) names.push_back(name);
  return names;
}

// What is trained, by the names of Python's file.
std::map<std::string, at::Tensor> trained(const PeftModel& model) {
  const std::string prefix = "base_model.model.";
  std::map<std::string, at::Tensor> found;
  for (const auto& [name, tensor] : model.trainable_parameters()) {
    found[name.starts_with(prefix) ? name.substr(prefix.size()) : name] = tensor;
  }
  return found;
}

std::vector<std::vector<int64_t>> rows_without_padding(const at::Tensor& ids,
                                                       const at::Tensor& mask) {
  std::vector<std::vector<int64_t>> rows;
  for (int64_t row = 0; row < ids.size(0); ++row) {
    const at::Tensor tokens = ids[row].masked_select(mask[row].ne(0)).contiguous();
    const auto* begin = tokens.const_data_ptr<int64_t>();
    rows.emplace_back(begin, begin + tokens.numel());
  }
  return rows;
}

void expect_close(const at::Tensor& ours, const at::Tensor& python, const std::string& what,
                  double tolerance = 2e-5) {
  ASSERT_TRUE(ours.defined()) << what;
  ASSERT_EQ(ours.sizes(), python.sizes()) << what;
  const at::Tensor a = ours.detach().to(at::kDouble), b = python.to(at::kDouble);
  const double scale = std::max(1.0, b.abs().max().item<double>());
  EXPECT_LT((a - b).abs().max().item<double>(), tolerance * scale) << what;
}

class GoldenSeq2Seq : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    for (const auto& [key, tensor] :
         formats::SafetensorsFile(golden_seq2seq(GetParam()) / "run.safetensors").load_all()) {
      run.set(key, tensor);
    }
  }

  // A new adapter with the values that Python's had.
  PeftModelForSeq2SeqLM learning_model() const {
    const Json file = read_json_file(golden_seq2seq(GetParam()) / "config.json");
    PeftModelForSeq2SeqLM model(base_of_case(GetParam()), parse_config(file, GetParam()));
    model.eval();
    // The tokens of a cartridge that do not learn are in its file alone.
    if (model.peft_type() == "CARTRIDGE") {
      model.load_state_dict(read_adapter_weights(golden_seq2seq(GetParam())));
    }
    const at::NoGradGuard no_grad;
    for (const auto& [name, tensor] : trained(model)) tensor.copy_(run.at("start." + name));
    return model;
  }

  Seq2SeqInput input() const {
    return {
        .encoder = {.input_ids = run.at("input_ids"), .attention_mask = run.at("attention_mask")},
        .decoder_attention_mask = run.at("decoder_attention_mask")};
  }
  TaskCall call() const {
    const at::Tensor* tasks = run.find("task_ids");
    return {.task_ids = tasks == nullptr ? at::Tensor() : *tasks};
  }

  at::Tensor logits(PeftModelForSeq2SeqLM& model) const {
    Seq2SeqInput with_target = input();
    with_target.decoder_input_ids = model.get_base_model()->shift_right(run.at("labels"));
    return model.forward(with_target, call());
  }

  void expect_rows(const std::vector<Continuation>& rows, const std::string& name) const {
    const at::Tensor python = run.at(name);
    ASSERT_EQ(static_cast<int64_t>(rows.size()), python.size(0));
    for (size_t row = 0; row < rows.size(); ++row) {
      EXPECT_TRUE(
          at::equal(at::tensor(rows[row].tokens, at::kLong), python[static_cast<int64_t>(row)]))
          << name << ", row " << row;
    }
  }

  void expect_generated(PeftModelForSeq2SeqLM& model) const {
    const auto sources = rows_without_padding(run.at("input_ids"), run.at("attention_mask"));
    for (const char* cache : {"dynamic", "static"}) {
      GenerateOptions options{.max_new_tokens = 6, .cache_implementation = cache};
      expect_rows(model.generate(sources, options, call()), "generated");
      if (run.find("beams") == nullptr) continue;
      options.num_beams = 3;
      options.num_return_sequences = 2;
      expect_rows(model.generate(sources, options, call()), "beams");
    }
  }

  StateDict run;
};

TEST_P(GoldenSeq2Seq, ComputesAndLearnsAsPythonDoes) {
  PeftModelForSeq2SeqLM model = learning_model();
  expect_close(logits(model), run.at("logits"), "logits");
  const at::Tensor labels = run.at("labels");
  const at::Tensor loss = model.loss(input(), labels, call());
  expect_close(loss.reshape({1}), run.at("loss"), "loss");
  loss.backward();
  std::vector<at::Tensor> learning;
  size_t gradients = 0;
  for (const auto& [name, tensor] : trained(model)) {
    learning.push_back(tensor);
    const at::Tensor* python = run.find("grad." + name);
    EXPECT_EQ(tensor.grad().defined(), python != nullptr) << name;
    if (python == nullptr) continue;
    expect_close(tensor.grad(), *python, "gradient of " + name, 1e-4);
    ++gradients;
  }
  EXPECT_GT(gradients, 0U);
  torch::optim::AdamW steps(learning, torch::optim::AdamWOptions(0.05));
  for (int step = 0; step < 3; ++step) {
    steps.zero_grad();
    model.loss(input(), labels, call()).backward();
    steps.step();
  }
  for (const auto& [name, tensor] : trained(model)) {
    expect_close(tensor, run.at("after." + name), "after three steps " + name, 2e-3);
  }
}

TEST_P(GoldenSeq2Seq, CheckpointingGivesTheSameGradientsOrIsRefused) {
  PeftModelForSeq2SeqLM model = learning_model();
  model.get_base_model()->set_gradient_checkpointing(true);
  model.train();
  const bool prefix = GetParam().find("prefix") != std::string::npos ||
                      GetParam().find("cartridge") != std::string::npos;
  if (prefix) {
    EXPECT_THROW(model.loss(input(), run.at("labels"), call()), ConfigError);
    return;
  }
  // The encoders of P-tuning have no dropout; those of LoRA neither, as the configs name none.
  model.loss(input(), run.at("labels"), call()).backward();
  for (const auto& [name, tensor] : trained(model)) {
    const at::Tensor* python = run.find("grad." + name);
    if (python != nullptr) expect_close(tensor.grad(), *python, "gradient of " + name, 1e-4);
  }
}

TEST_P(GoldenSeq2Seq, GeneratesWhatPythonGenerates) {
  PeftModelForSeq2SeqLM model = learning_model();
  expect_generated(model);
}

TEST_P(GoldenSeq2Seq, FilesCrossInBothDirections) {
  const std::filesystem::path folder = golden_seq2seq(GetParam());
  auto loaded = PeftModelForSeq2SeqLM::from_pretrained(base_of_case(GetParam()), folder);
  expect_close(logits(loaded), run.at("logits"), "logits of the loaded adapter");
  expect_generated(loaded);

  const PeftModelForSeq2SeqLM model = learning_model();
  const test::TemporaryFolder ours("seq2seq_" + GetParam());
  model.save_pretrained(ours.path());
  const StateDict written = read_adapter_weights(ours.path());
  const StateDict python = read_adapter_weights(folder);
  ASSERT_EQ(written.size(), python.size());
  for (const auto& [name, tensor] : python) expect_close(written.at(name), tensor, name, 1e-6);
  auto opened = AutoPeftModelForSeq2SeqLM::from_pretrained(ours.path());
  expect_close(logits(opened), run.at("logits"), "logits of the model that the folder names");
  EXPECT_THROW(AutoPeftModelForCausalLM::from_pretrained(ours.path()), ConfigError);
  Json config = read_json_file(ours.path() / "adapter_config.json");
  const Json theirs = read_json_file(folder / "adapter_config.json");
  config["base_model_name_or_path"] = theirs["base_model_name_or_path"];
  EXPECT_EQ(dump_json(config, {.sort_keys = true}), dump_json(theirs, {.sort_keys = true}));
}

INSTANTIATE_TEST_SUITE_P(Cases, GoldenSeq2Seq, testing::ValuesIn(seq2seq_cases()),
                         [](const auto& info) { return info.param; });

PeftModelForSeq2SeqLM prefix_model() {
  return PeftModelForSeq2SeqLM::from_pretrained(base_of_case("t5_prefix_tuning"),
                                                golden_seq2seq("t5_prefix_tuning"));
}

TEST(PeftModelForSeq2SeqLM, PutsAPrefixIntoAnEmptyCacheOnce) {
  PeftModelForSeq2SeqLM model = prefix_model();
  const Seq2SeqModel base = model.get_base_model();
  const at::NoGradGuard no_grad;
  const auto cache = base->new_seq2seq_cache();
  const at::Tensor ids = at::tensor({0, 5, 6}, at::kLong).unsqueeze(0);
  Seq2SeqInput input{.encoder = {.input_ids = at::tensor({7, 8}, at::kLong).unsqueeze(0)},
                     .decoder_input_ids = ids,
                     .cache = cache.get()};
  const auto first = model.prepare_inputs_for_generation(input);
  EXPECT_EQ(cache->self_attention->length(), 3);
  EXPECT_TRUE(at::equal(first.input.decoder_input_ids, ids));
  base->decode(first.input);
  EXPECT_EQ(cache->self_attention->length(), 6);
  const auto next = model.prepare_inputs_for_generation(input);
  EXPECT_EQ(next.input.decoder_input_ids.size(1), 1);
  EXPECT_EQ(cache->self_attention->length(), 6);
}

TEST(PeftModelForSeq2SeqLM, AStateOfTheSourceThatIsGivenIsNotMadeAgain) {
  PeftModelForSeq2SeqLM model = prefix_model();
  const Seq2SeqModel base = model.get_base_model();
  const at::NoGradGuard no_grad;
  const EncoderInput source{.input_ids = at::tensor({7, 8, 9}, at::kLong).unsqueeze(0)};
  const at::Tensor target = at::tensor({0, 5}, at::kLong).unsqueeze(0);
  const at::Tensor whole = model.forward({.encoder = source, .decoder_input_ids = target});
  const at::Tensor given =
      model.forward({.encoder_states = base->encode(source), .decoder_input_ids = target});
  expect_close(given, whole, "logits");
}

TEST(PeftModelForSeq2SeqLM, RowsMayHaveAdaptersOfTheirOwn) {
  const auto folder = golden_seq2seq("t5_lora");
  auto model = PeftModelForSeq2SeqLM::from_pretrained(base_of_case("t5_lora"), folder);
  const std::vector<std::vector<int64_t>> sources{{5, 6, 7, 8}, {9, 10}};
  for (const int64_t beams : {1, 3}) {
    GenerateOptions options{.max_new_tokens = 5};
    options.num_beams = beams;
    const auto adapted = model.generate(sources, options);
    const auto mixed = model.generate(sources, options, {.adapter_names = {"__base__", "default"}});
    EXPECT_EQ(mixed[1].tokens, adapted[1].tokens);
    const auto off = model.disable_adapter();
    EXPECT_EQ(mixed[0].tokens, model.generate(sources, options)[0].tokens);
  }
}

TEST(PeftModelForSeq2SeqLM, RefusesLabelsThatDoNotFitTheTarget) {
  PeftModelForSeq2SeqLM model = prefix_model();
  Seq2SeqInput input{.encoder = {.input_ids = at::tensor({7, 8}, at::kLong).unsqueeze(0)},
                     .decoder_input_ids = at::tensor({0, 5}, at::kLong).unsqueeze(0)};
  EXPECT_THROW(model.loss(input, at::tensor({5, 6, 7}, at::kLong).unsqueeze(0)), ConfigError);
}

}  // namespace
}  // namespace peft
