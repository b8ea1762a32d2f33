// Adapters that Python PEFT wrote: the same outputs, gradients, steps, keys and configs here.

#include <gtest/gtest.h>
#include <torch/script.h>
#include <unistd.h>

#include <set>

#include "peft/adapter_folder.h"
#include "peft/base/warnings.h"
#include "peft/peft_model.h"
#include "tests/front/golden_run.h"
#include "tests/front/models.h"
#include "tests/front/support.h"

namespace peft {
namespace {

namespace fs = std::filesystem;
namespace nn = torch::nn;
using namespace test;  // NOLINT: what the golden tests share
using models::Conv1DImpl, models::DeclaredImpl, models::Images;

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

// The same under a name that says nothing: it has to be told.
struct SilentImpl : Conv1DImpl {
  using Conv1DImpl::Conv1DImpl;
};

template <typename Layer>
struct TransposedImpl : nn::Module {
  TransposedImpl() {
    c_attn = register_module("c_attn", std::make_shared<Layer>(6, 8));
    c_proj = register_module("c_proj", std::make_shared<Layer>(8, 6));
    out = register_module("out", nn::Linear(8, 3));
  }
  at::Tensor forward(const at::Tensor& x) {
    return out(c_proj->forward(torch::relu(c_attn->forward(x))));
  }
  std::shared_ptr<Layer> c_attn, c_proj;
  nn::Linear out{nullptr};
};
template <typename Layer>
struct Transposed : nn::ModuleHolder<TransposedImpl<Layer>> {
  using nn::ModuleHolder<TransposedImpl<Layer>>::ModuleHolder;
};

class ZooCase : public testing::TestWithParam<const char*> {};

TEST_P(ZooCase, ComputesTrainsAndSavesAsPythonDoes) {
  const std::string name = GetParam();
  const StateDict run = tensors_of(golden(name) / "run.safetensors");
  auto model =
      PeftModel::from_pretrained(net_of<Zoo>(golden(name)), golden(name), {.is_trainable = true});
  expect_same_files(model, golden(name));
  expect_training_like_python(model, run, [&](const at::Tensor& x) { return model->forward(x); });
}

INSTANTIATE_TEST_SUITE_P(Golden, ZooCase,
                         testing::Values("all_kinds", "patterns", "bias_all", "bias_lora_only",
                                         "lora_bias", "saved", "regex", "all_linear"),
                         [](const auto& info) { return std::string(info.param); });

TEST(Golden, ConvolutionsComputeTrainAndSaveAsPythonDoes) {
  const StateDict run = tensors_of(golden("images") / "run.safetensors");
  auto model = PeftModel::from_pretrained(net_of<Images>(golden("images")), golden("images"),
                                          {.is_trainable = true});
  expect_same_files(model, golden("images"));
  expect_training_like_python(model, run, [&](const at::Tensor& x) { return model->forward(x); });
  EXPECT_THROW(model.merge_adapter(), UnsupportedError);
}

template <typename Layer>
void expect_transposed(const std::string& name, const std::vector<std::string>& expected_warnings) {
  SCOPED_TRACE(name);
  const StateDict run = tensors_of(golden(name) / "run.safetensors");
  std::vector<std::string> warnings;
  const auto former = set_warning_sink([&](const std::string& text) { warnings.push_back(text); });
  auto model = PeftModel::from_pretrained(net_of<Transposed<Layer>>(golden(name)), golden(name),
                                          {.is_trainable = true});
  set_warning_sink(former);
  EXPECT_EQ(warnings, expected_warnings);
  expect_same_files(model, golden(name));
  expect_training_like_python(model, run, [&](const at::Tensor& x) { return model->forward(x); });
}

TEST(Golden, TransposedLinearLayersComputeTrainAndSaveAsPythonDoes) {
  expect_transposed<Conv1DImpl>("transposed", {});
  expect_transposed<DeclaredImpl>("transposed", {});
  expect_transposed<SilentImpl>("transposed", {});  // its config says fan_in_fan_out
  expect_transposed<Conv1DImpl>(
      "transposed_and_linear",
      {"fan_in_fan_out is set to False but the target module 'c_attn' is a `Conv1D`. Setting "
       "fan_in_fan_out to True.",
       "fan_in_fan_out is set to True but the target module 'out' is a `Linear`. Setting "
       "fan_in_fan_out to False."});
}

TEST(Golden, AllLinearMeansTransposedLayersToo) {
  Transposed<Conv1DImpl> net;
  auto model = get_peft_model(net, LoraConfig{.target_modules = "all-linear"});
  EXPECT_EQ(model.tuner().targeted_modules(),
            (std::vector<std::string>{"c_attn", "c_proj", "out"}));
}

TEST(Golden, NamedAdaptersComeFromSubfoldersAndAddUp) {
  const StateDict run = tensors_of(golden("named") / "run.safetensors");
  auto model = PeftModel::from_pretrained(net_of<Zoo>(golden("named")), golden("named"));
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
  const StateDict run = tensors_of(golden("scripted") / "run.safetensors");
  auto module = torch::jit::load((golden("scripted") / "module.pt").string());
  module.to(test_device());
  auto model = PeftModel::from_pretrained(module, golden("scripted"), {.is_trainable = true});
  const auto forward = [&](const at::Tensor& x) { return model->forward({x}).toTensor(); };
  expect_same_files(model, golden("scripted"));
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
