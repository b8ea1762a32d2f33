#pragma once

#include <torch/torch.h>

#include "peft/tensor/module_kind.h"

/// Models that several golden scripts share.
namespace peft::test::models {

namespace nn = torch::nn;

/// Convolutions with strides, groups, a 1x1 kernel and three dimensions.
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

/// As people port GPT-2's layer: found by the name of its class.
struct Conv1DImpl : nn::Module {
  Conv1DImpl(int64_t out, int64_t in) : out(out) {
    weight = register_parameter("weight", torch::zeros({in, out}));
    bias = register_parameter("bias", torch::zeros({out}));
  }
  at::Tensor forward(const at::Tensor& x) {
    auto shape = x.sizes().vec();
    shape.back() = out;
    return torch::addmm(bias, x.reshape({-1, x.size(-1)}), weight).view(shape);
  }
  int64_t out;
  at::Tensor weight, bias;
};
TORCH_MODULE(Conv1D);

/// The same where it says itself how its weight is stored.
struct DeclaredImpl : Conv1DImpl, DeclaresWeightUse {
  using Conv1DImpl::Conv1DImpl;
  WeightUse weight_use() const override { return WeightUse::kTransposedLinear; }
};
TORCH_MODULE(Declared);

}  // namespace peft::test::models
