// Adapters that Python PEFT wrote: the same outputs, gradients, steps, keys and configs here.

#include <gtest/gtest.h>
#include <torch/script.h>
#include <unistd.h>

#include <set>

#include "peft/adapter/tag.h"
#include "peft/adapter_folder.h"
#include "peft/base/json_text.h"
#include "peft/formats/safetensors_file.h"
#include "peft/peft_model.h"
#include "tests/front/support.h"

namespace peft {
namespace {

namespace fs = std::filesystem;
namespace nn = torch::nn;
using test::TemporaryFolder;

struct ZooImpl : nn::Module {
  ZooImpl() {
    emb = register_module("emb", nn::Embedding(11, 8));
    lin1 = register_module("lin1", nn::Linear(8, 8));
    attn = register_module("attn", nn::MultiheadAttention(8, 2));
    conv = register_module("conv", nn::Conv1d(nn::Conv1dOptions(8, 6, 3).padding(1)));
    norm = register_module("norm", nn::LayerNorm(nn::LayerNormOptions({6})));
    classifier = register_module("classifier", nn::Linear(6, 3));
  }
  at::Tensor forward(const at::Tensor& ids) {
    at::Tensor h = torch::relu(lin1(emb(ids)));
    const at::Tensor t = h.transpose(0, 1);
    h = h + std::get<0>(attn(t, t, t)).transpose(0, 1);
    const at::Tensor c = norm(conv(h.transpose(1, 2)).transpose(1, 2));
    return classifier(c.mean(1));
  }
  nn::Embedding emb{nullptr};
  nn::Linear lin1{nullptr}, classifier{nullptr};
  nn::MultiheadAttention attn{nullptr};
  nn::Conv1d conv{nullptr};
  nn::LayerNorm norm{nullptr};
};
TORCH_MODULE(Zoo);

struct ImagesImpl : nn::Module {
  ImagesImpl() {
    conv1 = register_module("conv1",
                            nn::Conv2d(nn::Conv2dOptions(4, 6, 3).stride(2).padding(1).groups(2)));
    conv2 = register_module("conv2", nn::Conv2d(nn::Conv2dOptions(6, 4, 1)));
    conv3 = register_module("conv3", nn::Conv3d(nn::Conv3dOptions(2, 3, 2)));
    head = register_module("head", nn::Linear(3, 2));
  }
  at::Tensor forward(const at::Tensor& x) {
    const at::Tensor h = torch::relu(conv2(torch::relu(conv1(x))));
    return head(conv3(h.view({h.size(0), 2, 2, h.size(2), h.size(3)})).mean({2, 3, 4}));
  }
  nn::Conv2d conv1{nullptr}, conv2{nullptr};
  nn::Conv3d conv3{nullptr};
  nn::Linear head{nullptr};
};
TORCH_MODULE(Images);

fs::path golden(const std::string& name) {
  return fs::path(PEFT_SOURCE_DIR) / "tests/front/golden" / name;
}

template <typename Net>
Net base_net(const std::string& name) {
  Net net;
  at::NoGradGuard no_grad;
  const StateDict weights = formats::SafetensorsFile(golden(name) / "base.safetensors").load_all();
  for (auto& parameter : net->named_parameters()) {
    parameter.value().copy_(weights.at(parameter.key()));
  }
  return net;
}

void expect_close(const at::Tensor& ours, const at::Tensor& python, const std::string& what) {
  ASSERT_EQ(ours.sizes(), python.sizes()) << what;
  const double scale = std::max(1.0, python.abs().max().item<double>());
  EXPECT_LT((ours.detach() - python).abs().max().item<double>(), 2e-5 * scale) << what;
}

// Gradients under the keys of the file, found by the identity of the memory.
std::map<std::string, at::Tensor> gradients(PeftModel& model) {
  std::map<const void*, at::Tensor> by_data;
  for (auto& [name, tensor] : model.trainable_parameters()) {
    by_data[base(tensor).data_ptr()] = tensor.grad();
  }
  std::map<std::string, at::Tensor> found;
  for (const auto& [key, tensor] : model.state_dict()) {
    if (by_data.contains(tensor.data_ptr())) found[key] = by_data[tensor.data_ptr()];
  }
  return found;
}

template <typename Model, typename Forward>
void expect_training_like_python(Model& model, const StateDict& run, Forward forward) {
  const at::Tensor x = run.at("input");
  expect_close(forward(x), run.at("output"), "output");
  if (run.contains("merged")) {
    const at::Tensor before = forward(x).detach();
    model.merge_adapter();
    expect_close(forward(x), run.at("merged"), "merged");
    model.unmerge_adapter();
    EXPECT_TRUE(at::equal(forward(x), before)) << "unmerge must restore the bytes";
  }
  forward(x).square().sum().backward();
  const auto grads = gradients(model);
  EXPECT_FALSE(grads.empty());
  for (const auto& [key, grad] : grads) {
    ASSERT_TRUE(grad.defined()) << key;
    expect_close(grad, run.at("grad." + key), "gradient of " + key);
  }
  torch::optim::SGD sgd(
      [&] {
        std::vector<at::Tensor> list;
        for (auto& [name, tensor] : model.trainable_parameters()) list.push_back(tensor);
        return list;
      }(),
      torch::optim::SGDOptions(0.005));
  for (int step = 0; step < 3; ++step) {
    sgd.zero_grad();
    forward(x).square().sum().backward();
    sgd.step();
  }
  for (const auto& [key, tensor] : model.state_dict()) {
    expect_close(tensor, run.at("after." + key), "after three steps " + key);
  }
}

std::set<std::string> keys(const StateDict& state) {
  const auto names = state.names();
  return {names.begin(), names.end()};
}

// The files: same keys, same config but for the order of sets and the names of the base's class.
void expect_same_files(const PeftModel& model, const std::string& name) {
  const TemporaryFolder folder("golden_" + name);
  model.save_pretrained(folder.path());
  EXPECT_EQ(keys(read_adapter_weights(folder.path())), keys(read_adapter_weights(golden(name))));
  Json ours = read_json_file(folder.path() / "adapter_config.json");
  Json python = read_json_file(golden(name) / "adapter_config.json");
  for (Json* config : {&ours, &python}) {
    config->erase("auto_mapping");
    for (const char* key : {"target_modules", "exclude_modules"}) {
      if ((*config)[key].is_array()) std::sort((*config)[key].begin(), (*config)[key].end());
    }
  }
  EXPECT_EQ(dump_json(ours), dump_json(python));
}

class ZooCase : public testing::TestWithParam<const char*> {};

TEST_P(ZooCase, ComputesTrainsAndSavesAsPythonDoes) {
  const std::string name = GetParam();
  const StateDict run = formats::SafetensorsFile(golden(name) / "run.safetensors").load_all();
  auto model =
      PeftModel::from_pretrained(base_net<Zoo>(name), golden(name), {.is_trainable = true});
  expect_same_files(model, name);
  expect_training_like_python(model, run, [&](const at::Tensor& x) { return model->forward(x); });
}

INSTANTIATE_TEST_SUITE_P(Golden, ZooCase,
                         testing::Values("all_kinds", "patterns", "bias_all", "bias_lora_only",
                                         "lora_bias", "saved", "regex", "all_linear"),
                         [](const auto& info) { return std::string(info.param); });

TEST(Golden, ConvolutionsComputeTrainAndSaveAsPythonDoes) {
  const StateDict run = formats::SafetensorsFile(golden("images") / "run.safetensors").load_all();
  auto model = PeftModel::from_pretrained(base_net<Images>("images"), golden("images"),
                                          {.is_trainable = true});
  expect_same_files(model, "images");
  expect_training_like_python(model, run, [&](const at::Tensor& x) { return model->forward(x); });
  EXPECT_THROW(model.merge_adapter(), UnsupportedError);
}

TEST(Golden, NamedAdaptersComeFromSubfoldersAndAddUp) {
  const StateDict run = formats::SafetensorsFile(golden("named") / "run.safetensors").load_all();
  auto model = PeftModel::from_pretrained(base_net<Zoo>("named"), golden("named"));
  const LoadResult result = model.load_adapter(golden("named") / "other", "other");
  EXPECT_TRUE(result.missing.empty());
  EXPECT_TRUE(result.unexpected.empty());
  const at::Tensor x = run.at("input");
  expect_close(model->forward(x), run.at("default"), "default");
  model.set_adapter("other");
  expect_close(model->forward(x), run.at("other"), "other");
  model.set_adapter({"default", "other"});
  expect_close(model->forward(x), run.at("both"), "both");
  const TemporaryFolder folder("named");
  model.save_pretrained(folder.path());
  EXPECT_EQ(keys(read_adapter_weights(folder.path() / "other")),
            keys(read_adapter_weights(golden("named") / "other")));
  model.delete_adapter("default");
  expect_close(model->forward(x), run.at("other"), "other, alone");
  EXPECT_EQ(model.active_adapters(), std::vector<std::string>{"other"});
}

TEST(Golden, TorchScriptModulesComputeAndTrainAsPythonDoes) {
  const StateDict run = formats::SafetensorsFile(golden("scripted") / "run.safetensors").load_all();
  auto module = torch::jit::load((golden("scripted") / "module.pt").string());
  auto model = PeftModel::from_pretrained(module, golden("scripted"), {.is_trainable = true});
  const auto forward = [&](const at::Tensor& x) { return model->forward({x}).toTensor(); };
  expect_same_files(model, "scripted");
  expect_training_like_python(model, run, forward);
  const at::Tensor x = run.at("input");
  model.eval();
  at::NoGradGuard no_grad;
  const at::Tensor first = forward(x);
  for (int call = 0; call < 3; ++call) EXPECT_TRUE(at::allclose(forward(x), first));
  EXPECT_EQ(forward(x.narrow(0, 0, 2)).size(0), 2);
}

TEST(Golden, AFrozenModuleIsRefused) {
  auto module = torch::jit::load((golden("scripted") / "module.pt").string());
  module.eval();
  const auto frozen = torch::jit::freeze(module);
  EXPECT_THROW(get_peft_model(frozen, LoraConfig{.r = 2, .target_modules = {"lin1"}}), ConfigError);
}

}  // namespace
}  // namespace peft
