// Adapters of LoRA's variants that Python PEFT wrote: the same outputs, gradients, steps, keys and
// configs here.

#include <gtest/gtest.h>

#include "peft/formats/safetensors_file.h"
#include "peft/methods/lora/variants/dora.h"
#include "peft/tensor/call_tokens.h"
#include "peft/tensor/module_kind.h"
#include "tests/front/golden_run.h"

namespace peft {
namespace {

namespace fs = std::filesystem;
namespace nn = torch::nn;
using namespace test;  // NOLINT: what the golden tests share

fs::path variant(const std::string& name) { return golden("../golden_variants") / name; }

struct MixedImpl : nn::Module {
  MixedImpl() {
    emb = register_module("emb", nn::Embedding(11, 8));
    lin1 = register_module("lin1", nn::Linear(8, 8));
    lin2 = register_module("lin2", nn::Linear(nn::LinearOptions(8, 8).bias(false)));
    conv = register_module("conv", nn::Conv1d(nn::Conv1dOptions(8, 6, 3).padding(1)));
    head = register_module("head", nn::Linear(6, 4));
  }
  at::Tensor forward(const at::Tensor& ids) {
    at::Tensor h = torch::relu(lin1(emb(ids)));
    h = h + lin2(h);
    return head(torch::relu(conv(h.transpose(1, 2)).transpose(1, 2)));
  }
  nn::Embedding emb{nullptr};
  nn::Linear lin1{nullptr}, lin2{nullptr}, head{nullptr};
  nn::Conv1d conv{nullptr};
};
TORCH_MODULE(Mixed);

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

struct Conv1DImpl : nn::Module {
  Conv1DImpl(int64_t out, int64_t in) {
    weight = register_parameter("weight", torch::zeros({in, out}));
    bias = register_parameter("bias", torch::zeros({out}));
  }
  at::Tensor forward(const at::Tensor& x) { return torch::matmul(x, weight) + bias; }
  at::Tensor weight, bias;
};
TORCH_MODULE(Conv1D);

struct TransposedImpl : nn::Module {
  TransposedImpl() {
    c_attn = register_module("c_attn", Conv1D(6, 8));
    c_proj = register_module("c_proj", Conv1D(8, 6));
    out = register_module("out", nn::Linear(8, 3));
  }
  at::Tensor forward(const at::Tensor& x) { return out(c_proj(torch::relu(c_attn(x)))); }
  Conv1D c_attn{nullptr}, c_proj{nullptr};
  nn::Linear out{nullptr};
};
TORCH_MODULE(Transposed);

struct StackImpl : nn::Module, DeclaresTransposedExperts {
  explicit StackImpl(bool transposed) : transposed(transposed) {
    const std::vector<int64_t> wide{3, 4, 6}, tall{3, 6, 4};
    up = register_parameter("up", torch::zeros(transposed ? wide : tall));
    down = register_parameter("down", torch::zeros(transposed ? tall : wide));
  }
  bool is_transposed() const override { return transposed; }
  at::Tensor forward(const at::Tensor& x) {
    const at::Tensor first = transposed ? up : up.transpose(1, 2);
    const at::Tensor second = transposed ? down : down.transpose(1, 2);
    return torch::bmm(torch::relu(torch::bmm(x.expand({3, -1, -1}), first)), second).sum(0);
  }
  bool transposed;
  at::Tensor up, down;
};
TORCH_MODULE(Stack);

struct ExpertsImpl : nn::Module {
  ExpertsImpl() {
    lin = register_module("lin", nn::Linear(4, 4));
    plain = register_module("plain", Stack(false));
    turned = register_module("turned", Stack(true));
  }
  at::Tensor forward(const at::Tensor& x) {
    const at::Tensor h = lin(x);
    return turned(h + plain(h));
  }
  nn::Linear lin{nullptr};
  Stack plain{nullptr}, turned{nullptr};
};
TORCH_MODULE(Experts);

template <typename Net>
Net base_net(const std::string& name) {
  Net net;
  const at::NoGradGuard no_grad;
  const StateDict weights = formats::SafetensorsFile(variant(name) / "base.safetensors").load_all();
  for (auto& parameter : net->named_parameters()) {
    parameter.value().copy_(weights.at(parameter.key()));
  }
  return net;
}

template <typename Net>
PeftModelFor<Net> load(const std::string& name) {
  return PeftModel::from_pretrained(base_net<Net>(name), variant(name), {.is_trainable = true});
}

StateDict run_of(const std::string& name) {
  return formats::SafetensorsFile(variant(name) / "run.safetensors").load_all();
}

template <typename Net>
void expect_like_python(const std::string& name) {
  auto model = load<Net>(name);
  expect_same_files(model, variant(name));
  expect_training_like_python(model, run_of(name),
                              [&](const at::Tensor& x) { return model->forward(x); });
}

TEST(GoldenVariants, DoraOnLinearEmbeddingAndConvolution) { expect_like_python<Mixed>("dora"); }

TEST(GoldenVariants, DoraOnTransposedLayers) { expect_like_python<Transposed>("dora_transposed"); }

TEST(GoldenVariants, DoraOnConvolutionsOfAllDimensions) {
  expect_like_python<Images>("dora_images");
  auto model = load<Images>("dora_images");
  EXPECT_THROW(model.merge_adapter(), UnsupportedError);
}

TEST(GoldenVariants, TrainableTokens) { expect_like_python<Mixed>("tokens"); }

TEST(GoldenVariants, TrainableTokensBesideDora) { expect_like_python<Mixed>("tokens_dora"); }

TEST(GoldenVariants, TargetParameters) { expect_like_python<Experts>("parameters"); }

TEST(GoldenVariants, TargetParametersBesideModules) {
  expect_like_python<Experts>("parameters_and_modules");
}

TEST(GoldenVariants, BlockDiagonal) { expect_like_python<Mixed>("bdlora"); }

TEST(GoldenVariants, Velora) { expect_like_python<Mixed>("velora"); }

TEST(GoldenVariants, ActivatedFromTheInvocationTokensOn) {
  auto model = load<Mixed>("alora");
  expect_same_files(model, variant("alora"));
  expect_training_like_python(model, run_of("alora"), [&](const at::Tensor& x) {
    const CallTokensScope tokens(x);
    return model->forward(x);
  });
  EXPECT_THROW(model->forward(run_of("alora").at("input")), UnsupportedError);
  EXPECT_THROW(model.merge_adapter(), UnsupportedError);
}

// Whatever reads the weight sees what the layer computes with it.
TEST(GoldenVariants, DoraIsTheSameForOtherReadersOfTheWeight) {
  auto model = load<Mixed>("dora");
  const at::NoGradGuard no_grad;
  const at::Tensor x = torch::randn({4, 8});
  auto net = model.get_base_model();
  const at::Tensor seen = effective(net->lin1->weight);
  expect_close(torch::addmm(net->lin1->bias, x, seen.t()), net->lin1(x), "linear");
  const at::Tensor rows = effective(net->emb->weight, CallKind::kLookup);
  const at::Tensor ids = torch::arange(11);
  expect_close(rows, net->emb(ids), "embedding");
  expect_close(torch::matmul(x, net->emb->weight.t()), torch::matmul(x, rows.t()), "product");
}

TEST(GoldenVariants, CachedNormsAreNeverStale) {
  auto model = load<Mixed>("dora");
  const at::Tensor x = run_of("dora").at("input");
  model.eval();
  const at::NoGradGuard no_grad;
  const at::Tensor plain = model->forward(x);
  const DoraCaching caching;
  EXPECT_TRUE(at::equal(model->forward(x), plain));
  EXPECT_TRUE(at::equal(model->forward(x), plain));
  for (auto& [name, tensor] : model.trainable_parameters()) {
    if (name.find("lora_B") != std::string::npos) tensor.mul_(1.5);
  }
  base(model.get_base_model()->lin2->weight).mul_(0.5);
  const at::Tensor cached = model->forward(x);
  const DoraCaching off(false);
  EXPECT_TRUE(at::equal(cached, model->forward(x)));
}

TEST(GoldenVariants, AFreshAdapterChangesNothing) {
  for (const bool velora : {false, true}) {
    Mixed net;
    const at::Tensor x = torch::randint(0, 11, {3, 5});
    const at::Tensor before = net->forward(x).detach();
    LoraConfig config{.r = 2, .target_modules = {"lin1", "lin2"}};
    config.trainable_token_indices = Json::parse(R"({"emb": [2, 3]})");
    if (velora) {
      config.velora_config = Json::object();
    } else {
      config.use_dora = true;
      config.target_modules = {"lin1", "conv"};
    }
    auto model = get_peft_model(net, config);
    expect_close(model->forward(x), before, velora ? "VeLoRA" : "DoRA");
  }
}

TEST(GoldenVariants, TwoAdaptersAreChained) {
  auto model = load<Mixed>("dora");
  model.load_adapter(variant("velora"), "second", {.is_trainable = true});
  model.set_adapter({"default", "second"});
  model.eval();
  const at::NoGradGuard no_grad;
  const at::Tensor x = run_of("dora").at("input");
  const at::Tensor both = model->forward(x);
  model.merge_adapter();
  expect_close(model->forward(x), both, "merged");
  model.unmerge_adapter();
  EXPECT_TRUE(at::equal(model->forward(x), both));
}

}  // namespace
}  // namespace peft
