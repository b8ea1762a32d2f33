// Keys of old checkpoints beside a model's weights: those are reported that transformers reports.

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>

#include "peft/base/json_text.h"
#include "peft/models/registry.h"
#include "tests/models/contract.h"

namespace peft {
namespace {

using test::Contract;

// A file's weights, with `extra` keys that hold zeros, or the embedding where it is tied.
WeightSource with_extra_keys(const Contract& file, const Json& extra) {
  auto source = file.file.weights();
  const auto& shared = source.entries;
  const auto embedding = std::find_if(shared.begin(), shared.end(), [](const auto& entry) {
    return entry.name.ends_with("shared.weight") || entry.name.ends_with("wte.weight") ||
           entry.name.ends_with("embed_tokens.weight");
  });
  const auto read = source.read;
  const auto copied = embedding == shared.end() ? WeightSource::Entry() : *embedding;
  for (const std::string key : extra) {
    const bool copy = key.ends_with("embed_tokens.weight") || key == "lm_head.weight";
    source.entries.push_back({key, copy ? copied.shape : std::vector<int64_t>{1}});
  }
  source.read = [read, copied, extra](const std::string& key, at::ScalarType dtype) {
    const bool is_extra = std::find(extra.begin(), extra.end(), key) != extra.end();
    return read(is_extra ? copied.name : key, dtype);
  };
  return source;
}

TEST(IgnoredKeys, AreThoseOfTransformers) {
  const Json cases = read_json_file(PEFT_SOURCE_DIR "/tests/models/ignored_keys.json");
  ASSERT_FALSE(cases.empty());
  for (const auto& [name, python] : cases.items()) {
    const auto file = Contract::read(name);
    const auto model = make_model(file.config(), file.task);
    auto report = load_weights(*model, with_extra_keys(file, python.at("given")));
    std::sort(report.unexpected.begin(), report.unexpected.end());
    EXPECT_EQ(Json(report.unexpected), python.at("unexpected")) << name;
  }
}

TEST(IgnoredKeys, AHeadThatIsNotTheEmbeddingBecomesItsOwn) {
  for (const char* name : {"gpt2_lm", "bart_lm", "t5_relu_lm"}) {
    const auto file = Contract::read(name);
    auto source = with_extra_keys(file, {"lm_head.weight"});
    const auto read = source.read;
    source.read = [read](const std::string& key, at::ScalarType dtype) {
      return key == "lm_head.weight" ? read(key, dtype) * 2 : read(key, dtype);
    };
    const auto model = make_model(file.config(), file.task);
    EXPECT_TRUE(load_weights(*model, source).unexpected.empty()) << name;
    model->eval();
    auto in = file.padded_input();
    EXPECT_LT(test::relative_error(test::scores(*model, in), file["right_logits"] * 2), 1e-5);
    EXPECT_EQ(model->config().at("tie_word_embeddings"), false) << name;
  }
}

}  // namespace
}  // namespace peft
