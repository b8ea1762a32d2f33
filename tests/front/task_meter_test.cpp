#include "peft/task_meter.h"

#include <gtest/gtest.h>
#include <torch/torch.h>
#include <unistd.h>

#include <fstream>
#include <map>

#include "peft/base/error.h"
#include "peft/formats/torch_checkpoint_file.h"
#include "peft/headed_task.h"
#include "peft/sentence_embedding.h"
#include "tests/front/support.h"

namespace peft {
namespace {

double figure(const TaskMeter& meter, const std::string& name) {
  const auto metrics = meter.metrics();
  return std::map<std::string, double>(metrics.begin(), metrics.end()).at(name);
}

TEST(TaskMeter, ClassesHaveTheMeanF1OfThoseThatOccur) {
  ClassMeter meter;
  meter.add(torch::tensor({0, 1, 1}), torch::tensor({0, 1, 2}));
  meter.add(torch::tensor({2}), torch::tensor({2}));
  EXPECT_DOUBLE_EQ(figure(meter, "accuracy"), 0.75);
  // Class 0: 1; class 1: one right of two found, one there: 2/3; class 2: one of one, two there.
  EXPECT_DOUBLE_EQ(figure(meter, "f1"), (1.0 + 2.0 / 3 + 2.0 / 3) / 3);
}

TEST(TaskMeter, ManyLabelsCountTogether) {
  LabelsMeter meter;
  meter.add(torch::tensor({{1, 0, 1}, {0, 1, 0}}), torch::tensor({{1, 0, 0}, {0, 1, 0}}));
  EXPECT_DOUBLE_EQ(figure(meter, "accuracy"), 0.5);
  EXPECT_DOUBLE_EQ(figure(meter, "f1"), 2.0 * 2 / 5);
}

TEST(TaskMeter, NumbersHaveTheirMeanSquaredDifference) {
  NumberMeter meter;
  meter.add(torch::tensor({{1.0}, {3.0}}), torch::tensor({{0.0}, {1.0}}));
  EXPECT_DOUBLE_EQ(figure(meter, "mse"), 2.5);
}

TEST(TaskMeter, EntitiesAreRightAsAWhole) {
  EntityMeter meter({"O", "B-PER", "I-PER", "B-LOC"});
  // Expected: PER at 0..2 and LOC at 3; found: PER at 0..1 and LOC at 3.
  meter.add(torch::tensor({{1, 0, 0, 3, 2}}), torch::tensor({{1, 2, 0, 3, -100}}));
  EXPECT_DOUBLE_EQ(figure(meter, "accuracy"), 0.75);
  EXPECT_DOUBLE_EQ(figure(meter, "f1"), 0.5);
  // An I without its B begins an entity.
  EntityMeter bare({"O", "B-PER", "I-PER", "B-LOC"});
  bare.add(torch::tensor({{2, 0}}), torch::tensor({{1, 0}}));
  EXPECT_DOUBLE_EQ(figure(bare, "f1"), 1.0);
  EntityMeter plain({"noun", "verb"});
  plain.add(torch::tensor({{0, 1}}), torch::tensor({{0, 0}}));
  EXPECT_DOUBLE_EQ(figure(plain, "f1"), (2.0 / 3 + 0) / 2);
}

TEST(TaskMeter, SpansOverlapInTokens) {
  SpanMeter meter;
  meter.add(torch::tensor({{2, 4}, {1, 1}, {5, 6}}), torch::tensor({{2, 4}, {1, 2}, {0, 0}}));
  EXPECT_DOUBLE_EQ(figure(meter, "exact_match"), 1.0 / 3);
  EXPECT_DOUBLE_EQ(figure(meter, "f1"), (1.0 + 2.0 / 3 + 0) / 3);
}

TEST(BestSpans, TheEndIsNotBeforeTheStart) {
  auto logits = torch::zeros({1, 4, 2});
  logits[0][3][0] = 5.0;  // the best start lies behind the best end
  logits[0][1][1] = 5.0;
  logits[0][3][1] = 1.0;
  EXPECT_TRUE(at::equal(best_spans(logits), torch::tensor({{3, 3}})));
  EXPECT_TRUE(
      at::equal(best_spans(logits, torch::tensor({{1, 1, 1, 0}})), torch::tensor({{0, 1}})));
}

TEST(SentenceEmbedding, PaddingDoesNotCount) {
  const auto states = torch::tensor({{{1.0, 2.0}, {3.0, 6.0}, {9.0, 9.0}}});
  const auto mask = torch::tensor({{1, 1, 0}});
  const auto near = [](const at::Tensor& a, const at::Tensor& b) {
    return at::allclose(a, b.to(at::kFloat), 1e-6);
  };
  EXPECT_TRUE(near(pool(states, mask, {}), torch::tensor({{2.0, 4.0}})));
  EXPECT_TRUE(near(pool(states, mask, {.mean_tokens = false, .max_tokens = true}),
                   torch::tensor({{3.0, 6.0}})));
  EXPECT_TRUE(near(pool(states, mask, {.cls_token = true}), torch::tensor({{1.0, 2.0, 2.0, 4.0}})));
  EXPECT_TRUE(near(pool(states, mask, {.mean_tokens = false, .last_token = true}),
                   torch::tensor({{3.0, 6.0}})));
  EXPECT_TRUE(
      near(pool(states, torch::tensor({{0, 1, 1}}), {.mean_tokens = false, .last_token = true}),
           torch::tensor({{9.0, 9.0}})));
  EXPECT_TRUE(near(pool(states, mask, {.mean_tokens = false, .mean_sqrt_len = true}),
                   torch::tensor({{4.0, 8.0}}) / std::sqrt(2.0)));
  EXPECT_TRUE(near(pool(states, mask, {.normalize = true}).norm(), torch::tensor(1.0)));
}

void write_folder(const std::filesystem::path& folder, const StateDict& layer, const Json& config) {
  std::filesystem::create_directories(folder / "2_Dense");
  std::filesystem::create_directories(folder / "1_Pooling");
  const auto module = [](const char* kind, const char* path) {
    return Json{{"type", std::string("sentence_transformers.models.") + kind}, {"path", path}};
  };
  const Json modules{module("Transformer", ""), module("Pooling", "1_Pooling"),
                     module("Dense", "2_Dense"), module("Normalize", "3_Normalize")};
  std::ofstream(folder / "modules.json") << modules.dump();
  std::ofstream(folder / "1_Pooling/config.json") << R"({"pooling_mode_mean_tokens": true})";
  std::ofstream(folder / "2_Dense/config.json") << config.dump();
  formats::write_torch_file(folder / "2_Dense/pytorch_model.bin", layer);
}

TEST(SentenceEmbedding, ALayerBehindThePoolingIsRead) {
  const test::TemporaryFolder folder("sentence_layer");
  const auto weight = torch::tensor({{1.0f, 2.0f}, {0.5f, -1.0f}, {0.0f, 1.0f}});
  StateDict layer;
  layer.set("linear.weight", weight);
  const auto states = torch::tensor({{{1.0f, 2.0f}, {3.0f, 6.0f}}});
  const auto sum = torch::tensor({{2.0f, 4.0f}}).mm(weight.t());
  Json config{{"activation_function", "torch.nn.modules.linear.Identity"}};
  write_folder(folder.path(), layer, config);
  const auto plain = pool(states, {}, Pooling::load(folder.path()));
  EXPECT_TRUE(at::allclose(plain, sum / sum.norm()));

  layer.set("linear.bias", torch::tensor({0.5f, 0.0f, -3.0f}));
  config["activation_function"] = "torch.nn.modules.activation.Tanh";
  write_folder(folder.path(), layer, config);
  const auto bent = at::tanh(sum + layer.at("linear.bias"));
  EXPECT_TRUE(at::allclose(pool(states, {}, Pooling::load(folder.path())), bent / bent.norm()));
  EXPECT_THROW(pool(at::cat({states, states}, 2), {}, Pooling::load(folder.path())), MismatchError);

  config["activation_function"] = "torch.nn.modules.activation.GELU";
  write_folder(folder.path(), layer, config);
  EXPECT_THROW(Pooling::load(folder.path()), UnsupportedError);
}

}  // namespace
}  // namespace peft
