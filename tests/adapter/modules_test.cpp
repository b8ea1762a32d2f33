// libtorch's own modules, unmodified, on tagged weights: equal to a copy of the module that holds
// W + delta, gradients included.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <functional>
#include <map>

#include "tests/support/fake_adapter.h"

namespace peft::testing {
namespace {

namespace nn = torch::nn;
using at::Tensor;
using Layers = std::vector<std::shared_ptr<FakeLora>>;

/// Tags the named parameters of one module, puts W + delta (differentiable) into the slots of a
/// twin, and compares the outputs and the gradients of every A and B.
template <typename Holder, typename Run>
void expect_agreement(Holder tagged, Holder twin, const std::vector<std::string>& names, Run run) {
  torch::NoGradGuard none;
  auto parameters = tagged->named_parameters(), twins = twin->named_parameters();
  for (const auto& item : parameters) {
    twins[item.key()].copy_(item.value());
    item.value().requires_grad_(false);
  }
  Layers layers;
  for (const auto& name : names) {
    layers.push_back(put_lora(parameters[name]));
    auto weight = base(parameters[name]);
    twins[name].set_data(weight + layers.back()->delta(weight));
  }
  at::AutoGradMode on(true);
  std::vector<Tensor> a_and_b, merged;
  for (size_t i = 0; i < layers.size(); ++i) {
    a_and_b.insert(a_and_b.end(), {layers[i]->a, layers[i]->b});
    merged.push_back(twins[names[i]]);
  }
  auto y = run(tagged), want = run(twin);
  EXPECT_LT(far(y, want), 1e-4);
  auto got = torch::autograd::grad({y.pow(2).sum()}, a_and_b);
  auto of_merged = torch::autograd::grad({want.pow(2).sum()}, merged);
  for (size_t i = 0; i < layers.size(); ++i) {  // the chain rule through B A
    auto g = of_merged[i].reshape({layers[i]->b.size(0), -1});
    EXPECT_LT(far(got[2 * i], layers[i]->b.t().mm(g)), 1e-3) << names[i] << " A";
    EXPECT_LT(far(got[2 * i + 1], g.mm(layers[i]->a.t())), 1e-3) << names[i] << " B";
  }
  torch::NoGradGuard again;
  EXPECT_LT(far(run(tagged), want), 1e-4) << "without gradients";
}

Tensor x3() {
  torch::manual_seed(5);
  return torch::randn({4, 3, 8});
}

TEST(Modules, LinearAndTwoThatShareAWeight) {
  auto make = [] { return nn::Sequential(nn::Linear(8, 8), nn::Tanh(), nn::Linear(8, 8)); };
  expect_agreement(make(), make(), {"0.weight", "2.weight"},
                   [](auto& m) { return m->forward(x3()); });
  nn::Linear one(8, 8), two(8, 8), twin(8, 8);
  two->weight = one->weight;
  auto layer = put_lora(one->weight);
  auto merged = base(one->weight) + layer->delta(one->weight);
  EXPECT_LT(far(two(one(x3())), at::linear(at::linear(x3(), merged, one->bias), merged, two->bias)),
            1e-4);
}

TEST(Modules, MultiheadAttentionWithAnyKeysAndValues) {
  auto make = [] { return nn::MultiheadAttention(8, 2); };
  std::vector<std::string> names{"in_proj_weight", "out_proj.weight"};
  auto q = x3(), k = x3() * 2, v = x3() * 3;
  expect_agreement(make(), make(), names, [&](auto& m) { return std::get<0>(m(q, q, q)); });
  expect_agreement(make(), make(), names, [&](auto& m) { return std::get<0>(m(q, k, k)); });
  expect_agreement(make(), make(), names, [&](auto& m) { return std::get<0>(m(q, k, v)); });
}

TEST(Modules, MultiheadAttentionWithItsOwnProjections) {
  auto make = [] {
    return nn::MultiheadAttention(nn::MultiheadAttentionOptions(8, 2).kdim(6).vdim(6));
  };
  auto k = torch::randn({5, 3, 6});
  expect_agreement(make(), make(), {"q_proj_weight", "k_proj_weight", "v_proj_weight"},
                   [&](auto& m) { return std::get<0>(m(x3(), k, k)); });
}

TEST(Modules, TransformerLayers) {
  auto encoder = [] {
    return nn::TransformerEncoderLayer(
        nn::TransformerEncoderLayerOptions(8, 2).dim_feedforward(16).dropout(0));
  };
  std::vector<std::string> names{"self_attn.in_proj_weight", "self_attn.out_proj.weight",
                                 "linear1.weight", "linear2.weight"};
  expect_agreement(encoder(), encoder(), names, [](auto& m) { return m(x3()); });
  auto in_eval = [](auto& m) {
    m->eval();
    return m(x3());
  };
  expect_agreement(encoder(), encoder(), names, in_eval);
  auto decoder = [] {
    return nn::TransformerDecoderLayer(
        nn::TransformerDecoderLayerOptions(8, 2).dim_feedforward(16).dropout(0));
  };
  names.push_back("multihead_attn.in_proj_weight");
  expect_agreement(decoder(), decoder(), names, [](auto& m) { return m(x3(), x3() * 2); });
}

TEST(Modules, RecurrentNetworks) {
  std::vector<std::string> names{"weight_ih_l0", "weight_hh_l0"};
  auto run = [](auto& m) { return std::get<0>(m(x3())); };
  expect_agreement(nn::LSTM(8, 6), nn::LSTM(8, 6), names, run);
  expect_agreement(nn::GRU(8, 6), nn::GRU(8, 6), names, run);
  expect_agreement(nn::RNN(8, 6), nn::RNN(8, 6), names, run);
  names = {"weight_ih_l0", "weight_hh_l1_reverse", "weight_ih_l1"};
  auto lstm = [] { return nn::LSTM(nn::LSTMOptions(8, 6).num_layers(2).bidirectional(true)); };
  expect_agreement(lstm(), lstm(), names, run);
  auto gru = [] { return nn::GRU(nn::GRUOptions(8, 6).num_layers(2).bidirectional(true)); };
  expect_agreement(gru(), gru(), names, run);
}

TEST(Modules, RecurrentCells) {
  std::vector<std::string> names{"weight_ih", "weight_hh"};
  expect_agreement(nn::LSTMCell(8, 6), nn::LSTMCell(8, 6), names,
                   [](auto& m) { return std::get<0>(m(x3()[0])); });
  expect_agreement(nn::GRUCell(8, 6), nn::GRUCell(8, 6), names, [](auto& m) { return m(x3()[0]); });
  expect_agreement(nn::RNNCell(8, 6), nn::RNNCell(8, 6), names, [](auto& m) { return m(x3()[0]); });
}

TEST(Modules, ConvolutionsAndTheirTransposes) {
  auto line = torch::randn({2, 8, 9}), image = torch::randn({2, 8, 6, 6}),
       cube = torch::randn({1, 8, 4, 4, 4});
  expect_agreement(nn::Conv1d(8, 6, 3), nn::Conv1d(8, 6, 3), {"weight"},
                   [&](auto& m) { return m(line); });
  auto same = [] { return nn::Conv1d(nn::Conv1dOptions(8, 6, 3).padding(torch::kSame)); };
  expect_agreement(same(), same(), {"weight"}, [&](auto& m) { return m(line); });
  auto circular = [] {
    return nn::Conv2d(nn::Conv2dOptions(8, 6, 3).padding(1).padding_mode(torch::kCircular));
  };
  expect_agreement(circular(), circular(), {"weight"}, [&](auto& m) { return m(image); });
  auto grouped = [] { return nn::Conv2d(nn::Conv2dOptions(8, 8, 3).groups(4).stride(2)); };
  expect_agreement(grouped(), grouped(), {"weight"}, [&](auto& m) { return m(image); });
  expect_agreement(nn::Conv3d(8, 6, 3), nn::Conv3d(8, 6, 3), {"weight"},
                   [&](auto& m) { return m(cube); });
  expect_agreement(nn::ConvTranspose1d(8, 6, 3), nn::ConvTranspose1d(8, 6, 3), {"weight"},
                   [&](auto& m) { return m(line); });
  expect_agreement(nn::ConvTranspose2d(8, 6, 3), nn::ConvTranspose2d(8, 6, 3), {"weight"},
                   [&](auto& m) { return m(image); });
}

TEST(Modules, Embeddings) {
  auto ids = torch::tensor({0, 3, 5, 1, 0, 3}).view({2, 3});
  auto run = [&](auto& m) { return m(ids); };
  expect_agreement(nn::Embedding(6, 8), nn::Embedding(6, 8), {"weight"}, run);
  auto padded = [] { return nn::Embedding(nn::EmbeddingOptions(6, 8).padding_idx(0)); };
  expect_agreement(padded(), padded(), {"weight"}, run);
  expect_agreement(nn::EmbeddingBag(6, 8), nn::EmbeddingBag(6, 8), {"weight"}, run);
}

TEST(Modules, SparseEmbeddingsGiveAAndBDenseGradients) {
  auto ids = torch::tensor({0, 3});
  nn::Embedding m(nn::EmbeddingOptions(6, 8).sparse(true));
  auto layer = put_lora(m->weight);
  m(ids).pow(2).sum().backward();
  EXPECT_TRUE(m->weight.grad().is_sparse());
  EXPECT_FALSE(layer->a.grad().is_sparse());
  EXPECT_FALSE(layer->b.grad().is_sparse());
}

TEST(Modules, MaxNormWritesTheBaseAndThenAdds) {
  auto ids = torch::tensor({1, 2});
  nn::Embedding m(nn::EmbeddingOptions(6, 8).max_norm(.5));
  m->weight.requires_grad_(false);
  auto layer = put_lora(m->weight);
  auto y = m(ids);
  auto rows = base(m->weight).index_select(0, ids);
  EXPECT_LT(rows.norm(2, {1}).max().item<double>(), .5 + 1e-5);
  EXPECT_LT(far(y, rows + layer->delta(m->weight).index_select(0, ids)), 1e-5);
}

struct TiedImpl : nn::Cloneable<TiedImpl> {
  TiedImpl() { reset(); }
  void reset() override {
    embed = register_module("embed", nn::Embedding(6, 8));
    head = register_module("head", nn::Linear(nn::LinearOptions(8, 6).bias(false)));
    head->weight = embed->weight;
  }
  Tensor forward(const Tensor& ids) { return head(embed(ids).tanh()); }
  nn::Embedding embed = nullptr;
  nn::Linear head = nullptr;
};
TORCH_MODULE(Tied);

TEST(Modules, TiedEmbeddingAndHead) {
  auto ids = torch::tensor({0, 3, 5});
  Tied m;
  auto& w = m->embed->weight;
  auto layer = put_lora(w);
  auto merged = base(w) + layer->delta(w);
  auto want = at::linear(at::embedding(merged, ids).tanh(), merged);
  EXPECT_LT(far(m(ids), want), 1e-5);
  auto inputs = std::vector<Tensor>{layer->a, layer->b, w};
  auto got = torch::autograd::grad({m(ids).pow(2).sum()}, inputs);
  auto of_merged = torch::autograd::grad({want.pow(2).sum()}, inputs);
  for (size_t i = 0; i < 3; ++i) EXPECT_LT(far(got[i], of_merged[i]), 1e-4) << i;
}

TEST(Modules, BilinearNormsAndAdaptiveSoftmax) {
  auto x = x3();
  expect_agreement(nn::Bilinear(8, 8, 6), nn::Bilinear(8, 8, 6), {"weight"},
                   [&](auto& m) { return m(x, x * 2); });
  auto norm = [] { return nn::LayerNorm(nn::LayerNormOptions({8})); };
  expect_agreement(norm(), norm(), {"weight"}, [&](auto& m) { return m(x); });
  auto softmax = [] {
    return nn::AdaptiveLogSoftmaxWithLoss(
        nn::AdaptiveLogSoftmaxWithLossOptions(8, 10, {4, 7}).div_value(2.0));
  };
  expect_agreement(softmax(), softmax(), {"head.weight", "tail.0.0.weight", "tail.1.1.weight"},
                   [&](auto& m) {
                     return m->log_prob(x.view({12, 8}));
                   });
}

}  // namespace
}  // namespace peft::testing
