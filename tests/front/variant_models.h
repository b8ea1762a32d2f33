#pragma once

#include <torch/torch.h>

#include <vector>

#include "peft/tensor/module_kind.h"

/// The models of tests/front/golden_variants.py.
namespace peft::test::models {

namespace nn = torch::nn;

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

}  // namespace peft::test::models
