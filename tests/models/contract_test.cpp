// What every model of every family does as Python does: a file in tests/models/contract is a case.

#include "tests/models/contract.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <set>

#include "peft/base/error.h"
#include "peft/models/common/decoder_model.h"
#include "peft/models/common/image_model.h"
#include "peft/models/common/language_model.h"
#include "peft/models/common/seq2seq_model.h"
#include "peft/models/registry.h"

namespace peft {
namespace {

using test::Contract;
using test::ContractInput;
using test::relative_error;

constexpr double kTolerance = 1e-5;
constexpr double kGradientTolerance = 1e-4;
// Two layers of weights as large as these turn the rounding of 8 bits into that much.
constexpr double kSixteenBitTolerance = 0.1;
constexpr int64_t kPrefix = 4;

class ModelContract : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    file = Contract::read(GetParam());
    model = file.model();
  }

  ContractInput input() const { return file.input(); }
  ContractInput masked(const at::Tensor& mask) const {
    auto in = input();
    in.mask = mask;
    if (file.has("decoder_mask")) in.decoder_mask = file["decoder_mask"];
    return in;
  }
  at::Tensor scores(const ContractInput& in) const {
    at::NoGradGuard no_grad;
    return test::scores(*model, in);
  }
  at::Tensor scores(ContractInput in, const std::string& ids) const {
    in.ids = file[ids];
    return scores(in);
  }
  bool reads_text() const { return file.reads_text(); }
  bool is_decoder() const {
    for (const auto& module : model->modules()) {
      if (std::dynamic_pointer_cast<DecoderBlockImpl>(module)) return true;
    }
    return false;
  }

  Contract file;
  PretrainedModel model;
};

TEST_P(ModelContract, ScoresEqualPythons) {
  const auto got = reads_text() ? scores(input(), "ids") : scores(input());
  EXPECT_LT(relative_error(got, file["logits"]), kTolerance);
}

TEST_P(ModelContract, ScoresOfPaddedRowsEqualPythons) {
  if (!reads_text()) return;
  const auto left = scores(masked(file["left_mask"]), "ids");
  EXPECT_LT(relative_error(left, file["left_logits"]), kTolerance);
  const auto right = scores(masked(file["right_mask"]), "ids");
  EXPECT_LT(relative_error(right, file["right_logits"]), kTolerance);
  if (!file.has("padded_ids")) return;
  const auto padded = scores(masked(file["right_mask"]), "padded_ids");
  EXPECT_LT(relative_error(padded, file["padded_logits"]), kTolerance);
}

TEST_P(ModelContract, EmbeddingsInPlaceOfTokensGiveTheSame) {
  if (!reads_text()) return;
  at::NoGradGuard no_grad;
  auto in = masked(file["right_mask"]);
  in.embeds = model->embed(file["ids"]);
  if (!file.takes_embeddings()) {
    EXPECT_THROW(scores(in), UnsupportedError);
    return;
  }
  EXPECT_LT(relative_error(scores(in), file["right_logits"]), kTolerance);
}

TEST_P(ModelContract, OptionalInputsGivePythonsScores) {
  if (file.has("token_type_ids")) {
    auto in = input();
    in.types = file["token_type_ids"];
    EXPECT_LT(relative_error(scores(in, "ids"), file["types_logits"]), kTolerance);
  }
  if (file.has("positions")) {
    auto in = masked(at::ones_like(file["ids"]));
    in.positions = file["positions"];
    EXPECT_LT(relative_error(scores(in, "ids"), file["positions_logits"]), kTolerance);
  }
  if (file.has("large_pixel_values")) {
    const auto got =
        scores({.pixels = file["large_pixel_values"], .interpolate_pos_encoding = true});
    EXPECT_LT(relative_error(got, file["large_logits"]), kTolerance);
    EXPECT_THROW(scores({.pixels = file["large_pixel_values"]}), ConfigError);
  }
  if (file.has("pooler_output")) {
    at::NoGradGuard no_grad;
    auto* body = dynamic_cast<EncoderModelImpl*>(model.get());
    const auto output =
        body != nullptr
            ? body->forward({.input_ids = file["ids"]})
            : dynamic_cast<ImageModelImpl&>(*model).forward({.pixel_values = file["pixel_values"]});
    EXPECT_LT(relative_error(output.pooler_output, file["pooler_output"]), kTolerance);
  }
}

TEST_P(ModelContract, ATargetIsMadeOfTheSourceWherePythonMakesIt) {
  if (!file.has("decoder_ids") || file.task == ModelTask::kSeq2SeqLM) return;
  const ContractInput in{.ids = file["ids"]};
  if (file.has("shifted_logits")) {
    EXPECT_LT(relative_error(scores(in), file["shifted_logits"]), kTolerance);
    EXPECT_THROW(scores({.embeds = model->embed(file["ids"])}), ConfigError);
  } else {
    EXPECT_THROW(scores(in), ConfigError);
  }
}

TEST_P(ModelContract, OneWithoutADecoderRefusesATarget) {
  const bool is_alone = reads_text() && !file.has("decoder_ids") && file.takes_embeddings();
  if (!is_alone || file.task == ModelTask::kCausalLM) return;
  EXPECT_THROW(scores({.ids = file["ids"], .decoder_ids = file["ids"]}), ConfigError);
  EXPECT_THROW(scores({.ids = file["ids"], .decoder_mask = file["left_mask"]}), ConfigError);
}

TEST_P(ModelContract, ACachedPrefixGivesPythonsScores) {
  auto* language = dynamic_cast<LanguageModelImpl*>(model.get());
  if (language == nullptr) return;
  const auto ids = file["ids"], mask = file["left_mask"];
  for (const bool grows : {true, false}) {
    const auto cache = grows ? language->new_cache() : language->new_static_cache(ids.size(1));
    scores({.ids = ids.narrow(1, 0, kPrefix),
            .mask = mask.narrow(1, 0, kPrefix),
            .cache = cache.get()});
    EXPECT_EQ(cache->length(), kPrefix);
    const auto got = scores(
        {.ids = ids.narrow(1, kPrefix, ids.size(1) - kPrefix), .mask = mask, .cache = cache.get()});
    EXPECT_LT(relative_error(got, file["cached_logits"]), kTolerance);
  }
}

TEST_P(ModelContract, ADecodersCacheGivesTheScoresOfTheWholeTarget) {
  auto* seq2seq = dynamic_cast<Seq2SeqModelImpl*>(model.get());
  if (seq2seq == nullptr) return;
  at::NoGradGuard no_grad;
  const auto states = seq2seq->encode({.input_ids = file["ids"]});
  const auto cache = seq2seq->new_seq2seq_cache();
  std::vector<at::Tensor> parts;
  for (const auto& ids : file["decoder_ids"].split_with_sizes({kPrefix, 2, 1}, 1)) {
    parts.push_back(seq2seq->forward(
        {.encoder_states = states, .decoder_input_ids = ids, .cache = cache.get()}));
  }
  EXPECT_LT(relative_error(at::cat(parts, 1), file["logits"]), kTolerance);
}

TEST_P(ModelContract, GradientsEqualPythonsWithAndWithoutCheckpointing) {
  for (const bool recompute : {false, true}) {
    model = file.model();
    model->train();
    model->set_gradient_checkpointing(recompute);
    EXPECT_EQ(model->is_gradient_checkpointing(), recompute);
    for (auto& parameter : model->parameters()) parameter.requires_grad_(true);
    auto in = reads_text() ? masked(file["right_mask"]) : input();
    auto& given = reads_text() ? in.embeds : in.pixels;
    if (!reads_text()) {
      given = in.pixels.clone().requires_grad_(true);
    } else if (file.takes_embeddings()) {
      given = model->embed(file["ids"]).detach().requires_grad_(true);
    } else {
      in.ids = file["ids"];
    }
    (test::scores(*model, in) * file["probe"]).sum().backward();
    const auto parameters = model->named_parameters();
    for (const auto& [key, expected] : file.file.tensors) {
      if (!key.starts_with("gradient/")) continue;
      const auto name = key.substr(std::string("gradient/").size());
      const bool is_input = name == "inputs_embeds" || name == "pixel_values";
      ASSERT_TRUE(is_input || parameters.contains(name)) << name;
      const auto got = is_input ? given.grad() : parameters[name].grad();
      ASSERT_TRUE(got.defined()) << name;
      EXPECT_LT(relative_error(got, expected), kGradientTolerance) << name << " " << recompute;
    }
  }
}

TEST_P(ModelContract, TheLossIsThatOfTheScores) {
  auto* language = dynamic_cast<LanguageModelImpl*>(model.get());
  if (language == nullptr) return;
  at::NoGradGuard no_grad;
  const auto labels = file["ids"].masked_fill(file["right_mask"].eq(0), -100);
  const auto got =
      language->loss_sum({.input_ids = file["ids"], .attention_mask = file["right_mask"]}, labels);
  const auto logits = file["right_logits"];
  const auto expected = at::cross_entropy_loss(
      logits.narrow(1, 0, logits.size(1) - 1).reshape({-1, logits.size(2)}),
      labels.narrow(1, 1, logits.size(1) - 1).reshape({-1}), {}, at::Reduction::Sum);
  EXPECT_LT(relative_error(got, expected), kTolerance);
}

TEST_P(ModelContract, LayersCanBeStackedAgain) {
  if (!is_decoder()) {
    EXPECT_THROW(model->replicate_layers({{0, 1}}), UnsupportedError);
    return;
  }
  const int64_t layers = model->shape().layers;
  model->replicate_layers({{0, layers}});
  EXPECT_LT(relative_error(scores(input(), "ids"), file["logits"]), kTolerance);
  const auto put_back = model->replicate_layers({{0, 1}, {0, layers}});
  EXPECT_EQ(model->shape().layers, layers + 1);
  EXPECT_EQ(model->new_cache()->layers(), layers + 1);
  EXPECT_GT(relative_error(scores(input(), "ids"), file["logits"]), 1e-3);
  put_back();
  EXPECT_EQ(model->new_cache()->layers(), layers);
  EXPECT_LT(relative_error(scores(input(), "ids"), file["logits"]), kTolerance);
}

TEST_P(ModelContract, SixteenBitsStayNearPythons) {
  for (const auto dtype : {at::kBFloat16, at::kHalf}) {
    model = file.model(dtype);
    auto in = file.padded_input();
    if (in.pixels.defined()) in.pixels = in.pixels.to(dtype);
    const auto got = scores(in);
    EXPECT_EQ(got.scalar_type(), dtype);
    const auto expected = file[reads_text() ? "right_logits" : "logits"];
    EXPECT_LT(relative_error(got, expected), kSixteenBitTolerance);
  }
}

TEST_P(ModelContract, TheTreeHasTheCheckpointsNames) {
  for (const auto& item : model->named_parameters()) {
    EXPECT_TRUE(file.has("weight/" + item.key())) << item.key();
  }
  if (file.task == ModelTask::kBody) return;
  const auto base = model->base_model_prefix();
  EXPECT_TRUE(base.empty() || model->named_children().contains(base)) << base;
}

TEST_P(ModelContract, RefusesBothOrNeitherKindOfInput) {
  if (!reads_text()) return;
  EXPECT_THROW(scores(input()), ConfigError);
  auto both = input();
  both.embeds = model->embed(file["ids"]);
  EXPECT_THROW(scores(both, "ids"), ConfigError);
}

INSTANTIATE_TEST_SUITE_P(Models, ModelContract, testing::ValuesIn(test::contract_names()),
                         [](const auto& info) { return info.param; });

TEST(ModelContractFiles, ThereIsOneForEveryModelType) {
  std::set<std::string> types;
  for (const auto& name : test::contract_names()) {
    types.insert(Contract::read(name).file.config.at("model_type").get<std::string>());
  }
  for (const auto& name : test::golden_names()) {
    types.insert(test::GoldenFile::read("models", name).config.at("model_type").get<std::string>());
  }
  for (const auto& known : known_model_types()) EXPECT_TRUE(types.contains(known)) << known;
}

}  // namespace
}  // namespace peft
