// Beams, and encoder-decoders, as transformers' generate() runs them: see golden_beams.py.

#include "peft/generate/beam_search.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "peft/base/error.h"
#include "peft/generate/generate.h"
#include "tests/models/contract.h"
#include "tests/models/golden_file.h"

namespace peft {
namespace {

using Tokens = std::vector<std::vector<int64_t>>;

constexpr int64_t kBeamTokens = 12;
constexpr uint64_t kBeamSeed = 20260103;
constexpr double kScoreTolerance = 1e-4;

std::vector<int64_t> numbers(const at::Tensor& row) {
  const auto flat = row.contiguous();
  return {flat.const_data_ptr<int64_t>(), flat.const_data_ptr<int64_t>() + flat.numel()};
}

// The options of a run, in Python's words.
GenerateOptions options_of(const Json& json) {
  GenerateOptions options{.max_new_tokens = kBeamTokens,
                          .min_new_tokens = json.value("min_new_tokens", int64_t{0}),
                          .min_length = json.value("min_length", int64_t{0}),
                          .do_sample = json.value("do_sample", false),
                          .temperature = json.value("temperature", 1.0),
                          .top_k = json.value("top_k", int64_t{50}),
                          .top_p = json.value("top_p", 1.0),
                          .min_p = json.value("min_p", 0.0),
                          .repetition_penalty = json.value("repetition_penalty", 1.0)};
  options.no_repeat_ngram_size = json.value("no_repeat_ngram_size", int64_t{0});
  options.num_beams = json.value("num_beams", int64_t{1});
  options.length_penalty = json.value("length_penalty", 1.0);
  options.num_return_sequences = json.value("num_return_sequences", int64_t{1});
  const Json early = json.value("early_stopping", Json(false));
  if (early == true) options.early_stopping = EarlyStopping::kTrue;
  if (early == "never") options.early_stopping = EarlyStopping::kNever;
  if (json.contains("forced_bos_token_id")) {
    options.forced_bos_token_id = json["forced_bos_token_id"].get<int64_t>();
  }
  options.forced_eos_token_ids = json.value("forced_eos_token_id", std::vector<int64_t>());
  options.bad_words_ids = json.value("bad_words_ids", Tokens());
  options.stop_token_ids = json["eos_token_id"].get<std::vector<int64_t>>();
  options.cache_implementation = json.value("cache_implementation", std::string("dynamic"));
  options.seed = kBeamSeed;
  return options;
}

struct PythonRun {
  GenerateOptions options;
  Tokens prompts;
};

class GoldenGeneration : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const Json options = Json::parse(file.metadata.at("options"));
    for (const auto& [label, json] : options.items()) {
      PythonRun run{.options = options_of(json)};
      const int64_t rows = run.options.do_sample ? 1 : file["ids"].size(0);
      for (int64_t i = 0; i < rows; ++i) {
        const auto ids = file["ids"][i], mask = file["mask"][i].to(at::kBool);
        run.prompts.push_back(numbers(json["padded"].get<bool>() ? ids.index({mask}) : ids));
      }
      runs.emplace(label, std::move(run));
    }
  }

  void compare(const std::string& label, const std::vector<Continuation>& got) const {
    const auto tokens = file[label + "/tokens"], lengths = file[label + "/lengths"];
    ASSERT_EQ(static_cast<int64_t>(got.size()), tokens.size(0)) << label;
    for (size_t i = 0; i < got.size(); ++i) {
      const auto at_row = static_cast<int64_t>(i);
      const auto row = tokens[at_row].narrow(0, 0, lengths[at_row].item<int64_t>());
      EXPECT_EQ(got[i].tokens, numbers(row)) << label << ", row " << i;
      EXPECT_NEAR(got[i].score, file[label + "/scores"][at_row].item<double>(), kScoreTolerance)
          << label << ", row " << i;
    }
  }

  template <typename Model>
  void run_all(Model& model) {
    EXPECT_GE(runs.size(), 20U);
    for (const auto& [label, run] : runs) compare(label, generate(model, run.prompts, run.options));
  }

  test::GoldenFile file = test::GoldenFile::read("generate", "beams_" + GetParam());
  std::map<std::string, PythonRun> runs;
};

class GoldenCausalGeneration : public GoldenGeneration {};

TEST_P(GoldenCausalGeneration, EqualsPythons) {
  const auto model = test::golden_model(test::GoldenFile::read("models", GetParam()));
  run_all(*model);
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenCausalGeneration,
                         testing::Values("llama_plain", "qwen3_norms"),
                         [](const auto& info) { return info.param; });

class GoldenSeq2SeqGeneration : public GoldenGeneration {
 protected:
  Seq2SeqModel model =
      std::dynamic_pointer_cast<Seq2SeqModelImpl>(test::Contract::read(GetParam()).model());
};

TEST_P(GoldenSeq2SeqGeneration, EqualsPythons) { run_all(*model); }

TEST_P(GoldenSeq2SeqGeneration, ASourceOfABatchGivesWhatItGivesAlone) {
  for (const char* label : {"beams_3", "greedy_stops"}) {
    const PythonRun& run = runs.at(label);
    const auto together = generate(*model, run.prompts, run.options);
    const auto each = static_cast<size_t>(run.options.num_return_sequences);
    for (size_t i = 0; i < run.prompts.size(); ++i) {
      const auto alone = generate(*model, {run.prompts[i]}, run.options);
      for (size_t k = 0; k < each; ++k) {
        EXPECT_EQ(alone[k].tokens, together[i * each + k].tokens) << label << " " << i << " " << k;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenSeq2SeqGeneration,
                         testing::Values("t5_relu_lm", "t5_gated_lm", "bart_lm"),
                         [](const auto& info) { return info.param; });

class BeamSearchOptions : public testing::Test {
 protected:
  LanguageModel model = test::golden_model(test::GoldenFile::read("models", "llama_plain"));
};

TEST_F(BeamSearchOptions, TellsThePromptsThatTheRowsContinue) {
  std::vector<std::vector<int64_t>> seen;
  GenerateOptions options{.max_new_tokens = 3};
  options.num_beams = 2;
  options.on_rows = [&](const std::vector<int64_t>& rows) { seen.push_back(rows); };
  generate(*model, {{5, 6, 7}, {8}}, options);
  EXPECT_EQ(seen, (Tokens{{0, 1}, {0, 0, 1, 1}, {0, 0, 1, 1}}));
}

TEST_F(BeamSearchOptions, EndsABeamAtAStopString) {
  GenerateOptions options{.max_new_tokens = 8};
  options.num_beams = 3;
  const auto free = generate(*model, {{5, 6, 7}}, options)[0].tokens;
  options.stop_strings = {"<" + std::to_string(free[2]) + ">"};
  options.decode = [](const std::vector<int64_t>& ids) {
    std::string text;
    for (const auto id : ids) text += "<" + std::to_string(id) + ">";
    return text;
  };
  for (const auto& beam : generate(*model, {{5, 6, 7}}, options)) {
    const auto text = options.decode(beam.tokens);
    const bool ends = text.ends_with(options.stop_strings[0]);
    EXPECT_EQ(ends, beam.reason == FinishReason::kStopString);
    EXPECT_EQ(text.find(options.stop_strings[0]) != std::string::npos, ends);
  }
}

TEST_F(BeamSearchOptions, RefusesWhatDoesNotGoTogether) {
  const auto refuses = [&](auto change) {
    GenerateOptions options{.max_new_tokens = 2};
    change(options);
    EXPECT_THROW(generate(*model, {{5}}, options), ConfigError);
  };
  refuses([](GenerateOptions& o) { o.num_beams = 0; });
  refuses([](GenerateOptions& o) { o.num_return_sequences = 0; });
  refuses([](GenerateOptions& o) { o.num_return_sequences = 2; });
  refuses([](GenerateOptions& o) { o.num_beams = 2, o.num_return_sequences = 3; });
  refuses([](GenerateOptions& o) {
    o.num_beams = 2;
    o.on_token = [](int64_t, int64_t) { return true; };
  });
  refuses([](GenerateOptions& o) { o.length_penalty = std::numeric_limits<double>::infinity(); });
  refuses([](GenerateOptions& o) { o.no_repeat_ngram_size = -1; });
  refuses([](GenerateOptions& o) { o.min_length = -1; });
  refuses([](GenerateOptions& o) { o.bad_words_ids = {{}}; });
}

TEST(GenerateOptionsOf, ReadsWhatAConfigSaysOfGeneration) {
  const auto options = generate_options_of(Json::parse(
      R"({"eos_token_id": [2, 3], "pad_token_id": 1, "forced_bos_token_id": 0,
          "forced_eos_token_id": 2, "model_type": "bart"})"));
  EXPECT_EQ(options.stop_token_ids, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(options.pad_token_id, 1);
  EXPECT_EQ(options.forced_bos_token_id, 0);
  EXPECT_EQ(options.forced_eos_token_ids, (std::vector<int64_t>{2}));
  EXPECT_TRUE(generate_options_of(Json::object()).stop_token_ids.empty());
  EXPECT_THROW(generate_options_of(Json::parse(R"({"eos_token_id": "end"})")), ConfigError);
}

}  // namespace
}  // namespace peft
