// Models whose weights are kept on disk or away from the device that computes: everything that a
// model in memory does, with the same numbers.

#include "peft/offload.h"

#include <gtest/gtest.h>
#include <torch/torch.h>
#include <unistd.h>

#include <fstream>

#include "peft/adapter/clone.h"
#include "peft/adapter/offloaded_weight.h"
#include "peft/base/error.h"
#include "peft/formats/safetensors_writer.h"
#include "peft/models/registry.h"
#include "peft/peft_model_for_causal_lm.h"
#include "peft/tensor/tag_key.h"
#include "tests/front/parts.h"
#include "tests/front/support.h"
#include "tests/support/expect_message.h"

namespace peft {
namespace {

namespace fs = std::filesystem;
using test::expect_message;
using test::Net;
using test::Parts;
using test::TemporaryFolder;

const LoraConfig kEveryPart{.r = 3,
                            .target_modules = {"emb", "lin", "turned", "conv", "classifier"},
                            .init_lora_weights = false};

at::Tensor ids() { return at::arange(10).remainder(11).view({2, 5}); }

size_t files_in(const fs::path& folder) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(folder), {}));
}

/// Two models with the same adapter, the second one kept on disk.
struct Pair {
  explicit Pair(const std::string& name, const LoraConfig& config = kEveryPart) : folder(name) {
    torch::manual_seed(1);
    in_memory.emplace(test::parts(), config);
    torch::manual_seed(1);
    on_disk.emplace(test::parts(), config);
    dispatch_model(*on_disk, {{"", "disk"}}, {.offload_dir = folder.path()});
  }
  at::Tensor expected() { return in_memory->forward(ids()); }
  at::Tensor got() { return on_disk->forward(ids()); }

  TemporaryFolder folder;
  std::optional<PeftModelFor<Parts>> in_memory, on_disk;
};

TEST(Offload, ComputesWithWeightsThatAreOnDisk) {
  Pair pair("offload_forward");
  EXPECT_EQ(files_in(pair.folder.path()), 9u);  // a file a weight: nine in Parts
  const at::Tensor weight = pair.on_disk->get_base_model()->lin->weight;
  EXPECT_TRUE(offloaded(weight));
  expect_message<c10::Error>({"offloaded", "peft::bring_back"}, [&] { weight.const_data_ptr(); });
  EXPECT_EQ(weight.sizes(), (std::vector<int64_t>{8, 8}));
  EXPECT_TRUE(at::equal(pair.got(), pair.expected()));
  const auto off = pair.on_disk->disable_adapter();
  EXPECT_TRUE(at::equal(pair.got(), test::parts()->forward(ids())));
}

TEST(Offload, FilesGoWithTheModel) {
  const TemporaryFolder folder("offload_files");
  {
    Net net;
    dispatch_model(net.ptr(), {{"", "disk"}}, {.offload_dir = folder.path()});
    EXPECT_EQ(files_in(folder.path()), 4u);
  }
  EXPECT_EQ(files_in(folder.path()), 0u);
}

TEST(Offload, GradientsReachTheAdapters) {
  Pair pair("offload_gradients");
  pair.expected().square().sum().backward();
  pair.got().square().sum().backward();
  const auto wanted = pair.in_memory->trainable_parameters();
  const auto got = pair.on_disk->trainable_parameters();
  ASSERT_EQ(wanted.size(), 10u);
  ASSERT_EQ(got.size(), wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i) {
    ASSERT_TRUE(got[i].second.grad().defined()) << got[i].first;
    EXPECT_TRUE(at::equal(got[i].second.grad(), wanted[i].second.grad())) << got[i].first;
  }
}

TEST(Offload, AdaptersMayComeAfterwards) {
  const TemporaryFolder folder("offload_after"), saved("offload_saved");
  torch::manual_seed(1);
  PeftModelFor<Parts> source(test::parts(), kEveryPart);
  source.save_pretrained(saved.path());
  Parts net = test::parts();
  dispatch_model(net.ptr(), {{"", "disk"}}, {.offload_dir = folder.path()});
  auto model = PeftModel::from_pretrained(net, saved.path(), {.is_trainable = true});
  EXPECT_TRUE(at::equal(model.forward(ids()), source.forward(ids())));
  model.delete_adapter("default");
  EXPECT_TRUE(offloaded(net->lin->weight));
  EXPECT_TRUE(at::equal(net->forward(ids()), test::parts()->forward(ids())));
}

TEST(Offload, MergesAndUnmergesOnDisk) {
  Pair pair("offload_merge");
  pair.in_memory->merge_adapter();
  pair.on_disk->merge_adapter();
  EXPECT_EQ(files_in(pair.folder.path()), 14u);  // five weights have other values now
  EXPECT_TRUE(at::equal(pair.got(), pair.expected()));
  pair.on_disk->unmerge_adapter();
  EXPECT_EQ(files_in(pair.folder.path()), 9u);
  const auto plain = test::parts();
  const auto& weights = pair.on_disk->get_base_model()->named_parameters();
  for (const auto& item : plain->named_parameters()) {
    EXPECT_TRUE(at::equal(base(weights[item.key()]), item.value())) << item.key();
  }
}

TEST(Offload, MergedAndUnloadedItIsAPlainModelOnDisk) {
  Pair pair("offload_unload");
  Parts merged = pair.on_disk->merge_and_unload();
  EXPECT_EQ(files_in(pair.folder.path()), 9u);
  Parts wanted = pair.in_memory->merge_and_unload();
  EXPECT_TRUE(at::equal(merged->forward(ids()), wanted->forward(ids())));
  EXPECT_TRUE(offloaded(merged->lin->weight));
}

TEST(Offload, BeginsThatChangeTheBaseAreWrittenToDisk) {
  LoraConfig config{.r = 3, .target_modules = {"lin"}, .init_lora_weights = "pissa"};
  Pair pair("offload_pissa", config);
  const TemporaryFolder folder("offload_pissa_after");
  Parts net = test::parts();
  dispatch_model(net.ptr(), {{"", "disk"}}, {.offload_dir = folder.path()});
  PeftModelFor<Parts> after(net, config);
  EXPECT_FALSE(at::equal(base(net->lin->weight), test::parts()->lin->weight));
  EXPECT_TRUE(at::allclose(after.forward(ids()), pair.expected(), 1e-5, 1e-6));
}

TEST(Offload, CopiesAndViewsHaveTheValues) {
  Pair pair("offload_views");
  const at::Tensor weight = pair.on_disk->get_base_model()->lin->weight;
  const at::Tensor wanted = pair.in_memory->get_base_model()->lin->weight;
  EXPECT_TRUE(at::allclose(effective(weight), effective(wanted)));
  EXPECT_TRUE(at::allclose(weight.t() * 2, wanted.t() * 2));
  EXPECT_TRUE(at::allclose(weight.slice(0, 1, 4).contiguous() + 1, wanted.slice(0, 1, 4) + 1));
  EXPECT_TRUE(at::equal(base(weight.clone()), base(wanted)));
  EXPECT_TRUE(at::equal(base(weight.to(at::kDouble)), base(wanted).to(at::kDouble)));
  EXPECT_TRUE(at::allclose(weight.reshape({4, 16}).sum(), wanted.reshape({4, 16}).sum()));
  const at::Tensor plain = pair.on_disk->get_base_model()->conv->bias;  // no adapter on it
  EXPECT_TRUE(at::equal(plain.clone(), pair.in_memory->get_base_model()->conv->bias));
  EXPECT_FALSE(is_tagged(plain.clone()));
}

TEST(Offload, WritesAreRefusedUntilItIsBroughtBack) {
  Pair pair("offload_writes");
  const at::NoGradGuard no_grad;
  const at::Tensor weight = pair.on_disk->get_base_model()->lin->weight;
  expect_message<UnsupportedError>({"aten::add_", "offloaded weight", "bring_back"},
                                   [&] { weight.add_(1); });
  remove_offload(*pair.on_disk);
  EXPECT_FALSE(offloaded(weight));
  EXPECT_EQ(files_in(pair.folder.path()), 0u);
  EXPECT_TRUE(at::equal(pair.got(), pair.expected()));
  weight.add_(1);
  EXPECT_TRUE(at::equal(base(weight), test::parts()->lin->weight + 1));
}

TEST(Offload, ModelsThatAreConvertedComeBackIntoMemory) {
  Pair pair("offload_to");
  pair.on_disk->get_base_model()->to(at::kDouble);
  pair.in_memory->get_base_model()->to(at::kDouble);
  EXPECT_FALSE(offloaded(pair.on_disk->get_base_model()->lin->weight));
  EXPECT_TRUE(at::equal(pair.got(), pair.expected()));
}

TEST(Offload, ReadsTheFilesOfTheCheckpoint) {
  const TemporaryFolder folder("offload_index");
  Net net;
  const at::Tensor x = at::randn({4, 6});
  StateDict half;
  OffloadIndex index;
  const fs::path file = folder.path() / "model.safetensors";
  const at::NoGradGuard no_grad;
  for (auto& item : net->named_parameters()) {
    item.value().copy_(item.value().to(at::kBFloat16));
    half.set(item.key(), item.value().to(at::kBFloat16));
    index[item.key()] = {file, item.key()};
  }
  formats::write_safetensors(file, half);
  const at::Tensor wanted = net->forward(x);
  dispatch_model(net.ptr(), {{"", "disk"}, {"fc1", "cpu"}}, {.offload_index = index});
  EXPECT_FALSE(offloaded(net->fc1->weight));
  EXPECT_TRUE(offloaded(net->fc2->weight));
  EXPECT_EQ(files_in(folder.path()), 1u);
  EXPECT_TRUE(at::equal(net->forward(x), wanted));
  // Merging needs a folder for the new values; without one the model stays as it is.
  PeftModelFor<Net> model(
      net, LoraConfig{.r = 2, .target_modules = {"fc1", "fc2"}, .init_lora_weights = false});
  const at::Tensor before = model.forward(x);
  expect_message<ConfigError>({"offload_dir"}, [&] { model.merge_adapter(); });
  EXPECT_FALSE(model.tuner().merged());
  EXPECT_TRUE(at::equal(model.forward(x), before));
  EXPECT_TRUE(at::equal(base(net->fc1->weight), half.at("fc1.weight").to(at::kFloat)));
}

TEST(Offload, MistakesLeaveTheModelAsItWas) {
  const TemporaryFolder folder("offload_mistakes");
  Net net;
  const DispatchOptions options{.offload_dir = folder.path()};
  const auto refused = [&](const DeviceMap& map, std::vector<std::string> parts) {
    expect_message<ConfigError>(parts, [&] { dispatch_model(net.ptr(), map, options); });
    EXPECT_FALSE(offloaded(net->fc1->weight));
    EXPECT_EQ(files_in(folder.path()), 0u);
  };
  refused({{"fc1", "disk"}}, {"device_map", "'fc2.weight'"});
  refused({{"", "floppy"}}, {"device_map", "'floppy'", "'cuda:0'"});
  refused({{"fc1", "cuda:0"}, {"fc2", "cuda:1"}}, {"one device that computes", "cuda:1"});
  if (!at::hasCUDA()) refused({{"fc1", "cuda:0"}, {"fc2", "disk"}}, {"a device that is there"});
  expect_message<ConfigError>({"'fc1.weight'", "offload_dir"}, [&] {
    dispatch_model(net.ptr(), {{"", "disk"}});
  });

  const fs::path file = folder.path() / "other.safetensors";
  formats::write_safetensors(file, {{"w", at::zeros({2, 2})}});
  expect_message<MismatchError>({"'w'", "[5, 6]", "[2, 2]"}, [&] {
    dispatch_model(net.ptr(), {{"", "disk"}},
                   {.offload_dir = folder.path(), .offload_index = {{"fc1.weight", {file, "w"}}}});
  });
  std::ofstream(file) << "damaged";
  EXPECT_THROW(
      dispatch_model(net.ptr(), {{"", "disk"}}, {.offload_index = {{"fc1.weight", {file, "w"}}}}),
      FormatError);
  EXPECT_FALSE(offloaded(net->fc1->weight));
}

TEST(Offload, LanguageModelsGenerateFromDisk) {
  const Json config = {
      {"model_type", "llama"},         {"vocab_size", 40},           {"hidden_size", 16},
      {"intermediate_size", 24},       {"num_hidden_layers", 2},     {"num_attention_heads", 4},
      {"max_position_embeddings", 64}, {"tie_word_embeddings", true}};
  const TemporaryFolder folder("offload_language");
  LanguageModel model = make_language_model(config);
  {
    const at::NoGradGuard no_grad;
    for (auto& item : model->named_parameters()) {
      item.value().normal_(item.value().dim() == 1 ? 1.0 : 0.0, 0.3);
    }
  }
  model->eval();
  PeftModelForCausalLM adapted(
      model, LoraConfig{.r = 3, .target_modules = "all-linear", .init_lora_weights = false});
  adapted.eval();
  const GenerateOptions options{.max_new_tokens = 12};
  const auto wanted = adapted.generate({{3, 7, 9}}, options).front().tokens;
  const at::Tensor tokens = at::randint(1, 40, {2, 9}, at::kLong);
  const double loss = adapted.loss_sum({.input_ids = tokens}, tokens).item<double>();
  dispatch_model(adapted, {{"", "disk"}, {"model.norm", "cpu"}}, {.offload_dir = folder.path()});
  EXPECT_EQ(adapted.generate({{3, 7, 9}}, options).front().tokens, wanted);
  EXPECT_NEAR(adapted.loss_sum({.input_ids = tokens}, tokens).item<double>(), loss, 1e-4 * loss);
}

}  // namespace
}  // namespace peft
