// Whatever reads a tagged weight gives what a copy that holds W + delta gives: the value, and the
// gradients of A, B and a trainable base.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cstring>
#include <functional>
#include <map>
#include <sstream>
#include <string>

#include "peft/base/error.h"
#include "tests/support/fake_adapter.h"

namespace peft::testing {
namespace {

namespace F = torch::nn::functional;
using at::Tensor;
using Reader = std::function<Tensor(const Tensor&)>;

constexpr double kTolerance = 1e-4;

struct Read {
  std::vector<int64_t> shape = {6, 8};
  Reader read = nullptr;
};

Tensor numbers(at::IntArrayRef shape) {
  static auto generator = at::make_generator<at::CPUGeneratorImpl>(7);
  return torch::randn(shape, generator);
}

std::vector<Tensor> value_and_gradients(const Tensor& y, const std::vector<Tensor>& inputs) {
  auto out = torch::autograd::grad({y.pow(2).sum()}, inputs, {}, false, false, true);
  out.insert(out.begin(), y.detach());
  return out;
}

void expect_agreement(const std::string& name, const Read& read, bool trainable) {
  SCOPED_TRACE(name + (trainable ? ", trainable base" : ", frozen base"));
  torch::manual_seed(1);
  auto w = torch::randn(read.shape).mul_(.3), merged = w.clone();
  auto layer = std::make_shared<FakeLora>(read.shape);
  w.requires_grad_(trainable);
  merged.requires_grad_(trainable);
  std::vector<Tensor> of_tagged{layer->a, layer->b}, of_merged = of_tagged;
  if (trainable) of_tagged.push_back(w), of_merged.push_back(merged);
  auto want = value_and_gradients(read.read(merged + layer->delta(w)), of_merged);
  put_lora(w, layer);
  std::vector<Tensor> got;
  try {
    got = value_and_gradients(read.read(w), of_tagged);
  } catch (const std::exception& e) {
    FAIL() << std::string(e.what()).substr(0, 400);
  }
  for (size_t i = 0; i < want.size(); ++i)
    EXPECT_LT(far(got[i], want[i]), kTolerance) << "part " << i;
}

void expect_agreement(const std::map<std::string, Read>& reads) {
  for (const auto& [name, read] : reads) {
    for (bool trainable : {false, true}) expect_agreement(name, read, trainable);
  }
}

struct Inputs {
  Tensor x1 = numbers({8}), x2 = numbers({5, 8}), x3 = numbers({2, 5, 8}), left = numbers({5, 6});
  Tensor b = numbers({6}), ids = torch::tensor({0, 3, 5, 1, 2, 2, 4, 0, 1, 5, 3, 0}).view({3, 4});
};
const Inputs& in() {
  static Inputs inputs;
  return inputs;
}

TEST(Fallback, ProductsSeeTheAdapter) {
  auto& [x1, x2, x3, left, b, ids] = in();
  expect_agreement({
      {"linear 1-d", {.read = [&](auto& w) { return at::linear(x1, w); }}},
      {"linear 2-d", {.read = [&](auto& w) { return at::linear(x2, w); }}},
      {"linear 3-d bias", {.read = [&](auto& w) { return at::linear(x3, w, b); }}},
      {"F::linear 1-d bias", {.read = [&](auto& w) { return F::linear(x1, w, b); }}},
      {"F::linear 2-d bias", {.read = [&](auto& w) { return F::linear(x2, w, b); }}},
      {"F::linear 3-d", {.read = [&](auto& w) { return F::linear(x3, w); }}},
      {"matmul t", {.read = [&](auto& w) { return x2.matmul(w.t()); }}},
      {"matmul t 1-d", {.read = [&](auto& w) { return x1.matmul(w.t()); }}},
      {"matmul t 3-d", {.read = [&](auto& w) { return x3.matmul(w.t()); }}},
      {"mm t", {.read = [&](auto& w) { return x2.mm(w.t()); }}},
      {"addmm t", {.read = [&](auto& w) { return at::addmm(b, x2, w.t()); }}},
      {"linear of t", {.read = [&](auto& w) { return at::linear(left, w.t()); }}},
      {"t of t", {.read = [&](auto& w) { return at::linear(x2, w.t().t()); }}},
      {"not transposed", {.read = [&](auto& w) { return left.mm(w); }}},
      {"addmm not transposed", {.read = [&](auto& w) { return at::addmm(x1, left, w); }}},
      {"addmm alpha", {.read = [&](auto& w) { return at::addmm(b, x2, w.t(), 1, .5); }}},
      {"addmm beta", {.read = [&](auto& w) { return at::addmm(b, x2, w.t(), .5, 2); }}},
      {"addmm beta 0", {.read = [&](auto& w) { return at::addmm(b, x2, w.t(), 0, 1); }}},
      {"addmm 2-d bias", {.read = [&](auto& w) { return at::addmm(left, x2, w.t()); }}},
      {"addmm one bias", {.read = [&](auto& w) { return at::addmm(b.slice(0, 0, 1), x2, w.t()); }}},
      {"addmm in place", {.read = [&](auto& w) { return left.clone().addmm_(x2, w.t()); }}},
      {"left operand", {.read = [&](auto& w) { return w.matmul(x2.t()); }}},
      {"mv", {.read = [&](auto& w) { return w.mv(x1); }}},
      {"addmv", {.read = [&](auto& w) { return at::addmv(b, w, x1); }}},
      {"bmm",
       {.read =
            [&](auto& w) {
              return x3.bmm(w.t().unsqueeze(0).expand({2, 8, 6}));
            }}},
      {"baddbmm",
       {.read =
            [&](auto& w) {
              return at::baddbmm(torch::ones({2, 5, 6}), x3, w.t().expand({2, 8, 6}));
            }}},
      {"einsum",
       {.read =
            [&](auto& w) {
              return torch::einsum("bsi,oi->bso", {x3, w});
            }}},
      {"tensordot", {.read = [&](auto& w) { return torch::tensordot(x3, w, {2}, {1}); }}},
      {"inner", {.read = [&](auto& w) { return at::inner(x3, w); }}},
      {"multi_dot",
       {.read =
            [&](auto& w) {
              return at::linalg_multi_dot({x2, w.t(), left.t()});
            }}},
      {"zero rows",
       {.read =
            [&](auto& w) {
              return at::linear(torch::ones({0, 8}), w);
            }}},
      {"sparse x", {.read = [&](auto& w) { return at::mm(x2.to_sparse(), w.t()); }}},
      {"prelu", {.shape = {8}, .read = [&](auto& w) { return at::prelu(x2, w); }}},
      {"empty weight",
       {.shape = {6, 0},
        .read =
            [&](auto& w) {
              return at::linear(torch::ones({5, 0}), w);
            }}},
  });
}

TEST(Fallback, ViewsKeepTheAdapter) {
  auto& [x1, x2, x3, left, b, ids] = in();
  expect_agreement({
      {"transpose", {.read = [&](auto& w) { return x2.mm(w.transpose(0, 1)); }}},
      {"transpose back", {.read = [&](auto& w) { return x2.matmul(w.transpose(-1, -2)); }}},
      {"mT", {.read = [&](auto& w) { return x2.matmul(w.mT()); }}},
      {"numpy_T", {.read = [&](auto& w) { return x2.matmul(w.numpy_T()); }}},
      {"adjoint", {.read = [&](auto& w) { return x2.matmul(w.adjoint()); }}},
      {"mH", {.read = [&](auto& w) { return x2.matmul(w.mH()); }}},
      {"permute",
       {.read =
            [&](auto& w) {
              return x2.matmul(w.permute({1, 0}));
            }}},
      {"contiguous of t", {.read = [&](auto& w) { return x2.mm(w.t().contiguous()); }}},
      {"double of t",
       {.read =
            [&](auto& w) { return x2.to(at::kDouble).mm(w.t().to(at::kDouble)).to(at::kFloat); }}},
      {"slice", {.read = [&](auto& w) { return at::linear(x2, w.slice(0, 1, 4)); }}},
      {"narrow", {.read = [&](auto& w) { return at::linear(x2, w.narrow(0, 2, 3)); }}},
      {"chunk", {.read = [&](auto& w) { return at::linear(x2, w.chunk(2)[1]); }}},
      {"split", {.read = [&](auto& w) { return at::linear(x2, w.split(4)[1]); }}},
      {"unbind", {.read = [&](auto& w) { return x2.matmul(w.unbind()[3]); }}},
      {"view",
       {.read =
            [&](auto& w) {
              return at::linear(x2, w.view({12, 4}).view({6, 8}));
            }}},
      {"reshape",
       {.read =
            [&](auto& w) {
              return at::linear(x2, w.reshape({2, 3, 8})[1]);
            }}},
      {"reshape that copies",
       {.read =
            [&](auto& w) {
              return x2.mm(w.t().reshape({48}).view({8, 6}));
            }}},
      {"alias", {.read = [&](auto& w) { return at::linear(x2, at::alias(w)); }}},
      {"select", {.read = [&](auto& w) { return x2.matmul(w[2]); }}},
      {"as_strided",
       {.read =
            [&](auto& w) {
              return at::linear(x2, w.as_strided({6, 8}, {8, 1}));
            }}},
      {"as_strided offset",
       {.read =
            [&](auto& w) {
              return at::linear(x2, w.slice(0, 1).as_strided({3, 8}, {8, 1}, 16));
            }}},
      {"slice of t", {.read = [&](auto& w) { return x2.mm(w.t().slice(1, 1, 4)); }}},
      {"t of slice", {.read = [&](auto& w) { return x2.mm(w.slice(0, 1, 4).t()); }}},
      {"contiguous", {.read = [&](auto& w) { return at::linear(x2, w.contiguous()); }}},
      {"slice contiguous",
       {.read =
            [&](auto& w) { return at::linear(x2.slice(1, 0, 4), w.slice(1, 0, 4).contiguous()); }}},
      {"view of other bits",
       {.read =
            [&](auto& w) {
              return at::linear(x2, w.view(at::kInt).view(at::kFloat)) + 0 * w.sum();
            }}},
  });
}

TEST(Fallback, CopiesAndArithmeticSeeTheAdapter) {
  auto& [x1, x2, x3, left, b, ids] = in();
  expect_agreement({
      {"clone", {.read = [&](auto& w) { return at::linear(x2, w.clone()); }}},
      {"to double",
       {.read =
            [&](auto& w) {
              return at::linear(x2.to(at::kDouble), w.to(at::kDouble)).to(at::kFloat);
            }}},
      {"mul", {.read = [&](auto& w) { return w * 2; }}},
      {"normalised", {.read = [&](auto& w) { return at::linear(x2, w / w.norm(2, {1}, true)); }}},
      {"cat",
       {.read =
            [&](auto& w) {
              return at::linear(x2, at::cat({w, w}));
            }}},
      {"stack",
       {.read =
            [&](auto& w) {
              return at::stack({w, w.clone()});
            }}},
      {"dropout in eval",
       {.read = [&](auto& w) { return at::linear(x2, at::dropout(w, .5, false)); }}},
      {"to_sparse", {.read = [&](auto& w) { return at::mm(w.to_sparse(), x2.t()); }}},
      {"where", {.read = [&](auto& w) { return at::where(w > 0, w, -w); }}},
      {"write to a clone", {.read = [&](auto& w) { return at::linear(x2, w.clone().mul_(2)); }}},
      {"write to a slice of a clone",
       {.read =
            [&](auto& w) {
              auto copy = w.clone();
              copy.slice(0, 0, 2).mul_(3);
              return at::linear(x2, copy);
            }}},
      {"write to a transposed clone",
       {.read =
            [&](auto& w) {
              auto copy = w.t().contiguous();
              copy.mul_(3);
              return x2.mm(copy);
            }}},
  });
}

TEST(Fallback, LookupsSeeTheAdapter) {
  auto& [x1, x2, x3, left, b, ids] = in();
  expect_agreement({
      {"embedding", {.read = [&](auto& w) { return at::embedding(w, ids); }}},
      {"F::embedding", {.read = [&](auto& w) { return F::embedding(ids, w); }}},
      {"padding_idx",
       {.read =
            [&](auto& w) {
              return F::embedding(ids, w, F::EmbeddingFuncOptions().padding_idx(0));
            }}},
      {"index", {.read = [&](auto& w) { return w.index({ids}); }}},
      {"index of t", {.read = [&](auto& w) { return w.t().index({ids}); }}},
      {"index_select", {.read = [&](auto& w) { return w.index_select(0, ids.view(-1)); }}},
      {"gather", {.read = [&](auto& w) { return w.gather(0, ids); }}},
      {"one hot", {.read = [&](auto& w) { return F::one_hot(ids, 6).to(at::kFloat).matmul(w); }}},
      {"embedding_bag", {.read = [&](auto& w) { return F::embedding_bag(ids, w); }}},
  });
}

TEST(Fallback, ConvolutionsAndTheirKinSeeTheAdapter) {
  auto& [x1, x2, x3, left, b, ids] = in();
  auto line = numbers({2, 8, 9}), image = numbers({2, 4, 7, 7}), cube = numbers({1, 2, 5, 5, 5});
  expect_agreement({
      {"conv1d", {{6, 8, 3}, [&](auto& w) { return at::conv1d(line, w, b); }}},
      {"conv1d unbatched", {{6, 8, 3}, [&](auto& w) { return at::conv1d(line[0], w, b, 2, 1); }}},
      {"conv1d same", {{6, 8, 3}, [&](auto& w) { return at::conv1d(line, w, b, 1, "same"); }}},
      {"conv1d valid", {{6, 8, 3}, [&](auto& w) { return at::conv1d(line, w, b, 2, "valid"); }}},
      {"conv2d",
       {{6, 4, 3, 2},
        [&](auto& w) {
          return at::conv2d(image, w, b, {2, 1}, 1, {1, 2});
        }}},
      {"conv2d groups",
       {{6, 2, 3, 3}, [&](auto& w) { return at::conv2d(image, w, b, 1, 1, 1, 2); }}},
      {"conv2d same", {{6, 4, 3, 3}, [&](auto& w) { return at::conv2d(image, w, b, 1, "same"); }}},
      {"conv3d", {{6, 2, 3, 3, 3}, [&](auto& w) { return at::conv3d(cube, w, b, 1, 1); }}},
      {"conv3d same",
       {{6, 2, 3, 3, 3}, [&](auto& w) { return at::conv3d(cube, w, b, 1, "same"); }}},
      {"convolution",
       {{6, 8, 3}, [&](auto& w) { return at::convolution(line, w, b, 1, 0, 1, false, 0, 1); }}},
      {"conv_transpose1d", {{8, 6, 3}, [&](auto& w) { return at::conv_transpose1d(line, w); }}},
      {"conv_transpose2d", {{4, 6, 3, 3}, [&](auto& w) { return at::conv_transpose2d(image, w); }}},
      {"linear of a flat kernel",
       {{6, 8, 1}, [&](auto& w) { return at::linear(x2, w.squeeze(2)); }}},
      {"bilinear", {{6, 8, 8}, [&](auto& w) { return at::bilinear(x2, x2, w); }}},
      {"layer_norm", {{8}, [&](auto& w) { return at::layer_norm(x2, {8}, w); }}},
      {"batch_norm",
       {{8}, [&](auto& w) { return at::batch_norm(x2, w, {}, {}, {}, true, .1, 1e-5, false); }}},
  });
}

TEST(Fallback, OutVariantsSeeTheAdapter) {
  auto& x = in().x2;
  auto w = numbers({6, 8});
  auto layer = put_lora(w);
  torch::NoGradGuard none;
  auto want = at::linear(x, base(w) + layer->delta(w));
  auto out = torch::empty({5, 6});
  EXPECT_LT(far(at::mm_out(out, x, w.t()), want), kTolerance);
  EXPECT_LT(far(at::matmul_out(out.zero_(), x, w.t()), want), kTolerance);
  EXPECT_LT(far(at::linear_out(out.zero_(), x, w), want), kTolerance);
  EXPECT_LT(far(at::addmm_out(out.zero_(), torch::zeros({6}), x, w.t()), want), kTolerance);
}

TEST(Fallback, OtherTypesAndLayoutsSeeTheAdapter) {
  torch::NoGradGuard none;
  auto& x = in().x2;
  auto w = numbers({6, 8});
  auto layer = std::make_shared<FakeLora>(w.sizes());
  auto merged = w + layer->delta(w);
  for (auto type : {at::kBFloat16, at::kDouble, at::kComplexFloat}) {
    auto copy = w.to(type);
    put_lora(copy, layer);
    EXPECT_LT(far(at::real(at::linear(x.to(type), copy)).to(at::kFloat), at::linear(x, merged)),
              3e-2);
    EXPECT_EQ((copy * 2).scalar_type(), type);
  }
  auto csr = w.to_sparse_csr();
  put_lora(csr, layer);
  EXPECT_LT(far(at::linear(x, csr), at::linear(x, merged)), kTolerance);
  auto meta = torch::empty({6, 8}, at::kMeta);
  auto on_meta = std::make_shared<FakeLora>(meta.sizes());
  on_meta->a = on_meta->a.to(at::kMeta), on_meta->b = on_meta->b.to(at::kMeta);
  put_lora(meta, on_meta);
  EXPECT_EQ(at::linear(x.to(at::kMeta), meta).sizes(), (std::vector<int64_t>{5, 6}));
  EXPECT_EQ((meta * 2).sizes(), meta.sizes());
}

TEST(Fallback, ShallowCopiesSeeTheAdapter) {
  torch::NoGradGuard none;
  auto& x = in().x2;
  auto w = numbers({6, 8});
  auto layer = put_lora(w);
  auto want = at::linear(x, base(w) + layer->delta(w));
  EXPECT_LT(far(at::linear(x, w.detach()), want), kTolerance);
  EXPECT_LT(far(at::linear(x, w.data()), want), kTolerance);
  EXPECT_LT(far(at::linear(x, w.variable_data()), want), kTolerance);
  EXPECT_LT(far(at::linear(x, w.tensor_data()), want), kTolerance);
  EXPECT_LT(far(at::linear(x, w.detach() * 2), want * 2), kTolerance);
  EXPECT_LT(far(at::linear(x, w.detach().clone()), want), kTolerance);
}

TEST(Fallback, QuantisingAWeightQuantisesWhatTheModelSees) {
  torch::NoGradGuard none;
  auto w = numbers({6, 8});
  auto layer = put_lora(w);
  auto want = base(w) + layer->delta(w);
  auto quantised = at::quantize_per_tensor(w, .05, 0, at::kQInt8);
  EXPECT_TRUE(at::equal(quantised.dequantize(),
                        at::quantize_per_tensor(want, .05, 0, at::kQInt8).dequantize()));
}

TEST(Fallback, WhatReadsMemoryReadsTheBase) {
  torch::NoGradGuard none;
  auto w = numbers({2, 3}), copy = w.clone();
  put_lora(w);
  EXPECT_EQ(std::memcmp(w.data_ptr(), copy.data_ptr(), copy.nbytes()), 0);
  EXPECT_EQ((w.accessor<float, 2>()[1][2]), (copy.accessor<float, 2>()[1][2]));
  std::ostringstream ours, plain;
  ours << w, plain << copy;
  EXPECT_EQ(ours.str(), plain.str());
}

TEST(Fallback, AnOperatorThatFailsOnThePlainWeightFailsOnTheTaggedOne) {
  torch::NoGradGuard none;
  auto& x = in().x2;
  auto w = numbers({6, 8}), plain = w.clone();
  put_lora(w);
  EXPECT_ANY_THROW(at::mkldnn_linear(x, plain));
  EXPECT_ANY_THROW(at::mkldnn_linear(x, w));
  EXPECT_ANY_THROW(at::linear(torch::ones({2, 7}), plain));
  EXPECT_ANY_THROW(at::linear(torch::ones({2, 7}), w));
}

TEST(Fallback, AnAdapterThatDependsOnItsInputIsReadByFastRoadsOnly) {
  auto& x = in().x2;
  auto w = numbers({6, 8});
  auto layer = put_lora(w);
  auto want = at::linear(x, base(w) + layer->delta(w));
  layer->reason = "dropout in training";
  EXPECT_LT(far(at::linear(x, w), want), kTolerance);
  EXPECT_LT(far(x.mm(w.t()), want), kTolerance);
  EXPECT_LT(far(x.matmul(w.transpose(0, 1)), want), kTolerance);
  EXPECT_LT(far(at::addmm(torch::zeros({6}), x, w.t(), 1, 2), want * 2), kTolerance);
  EXPECT_LT(far(at::linear(x, w.clone()), want), kTolerance);
  EXPECT_LT(far(x.mm(w.t().contiguous()), want), kTolerance);
  EXPECT_EQ(layer->fast_calls, 6);
  for (auto& [name, read] : std::map<std::string, Reader>{
           {"aten::mul", [](auto& t) { return t * 2; }},
           {"aten::bmm",
            [](auto& t) {
              return t.unsqueeze(0).bmm(torch::ones({1, 8, 2}));
            }},
           {"aten::index", [](auto& t) { return t.index({torch::tensor({0})}); }},
           {"aten::linear",
            [](auto& t) {
              return at::linear(torch::ones({1, 8}), t.slice(0, 1));
            }},
           {"aten::cat", [](auto& t) {
              return at::cat({t, t});
            }}}) {
    SCOPED_TRACE(name);
    EXPECT_THROW(read(w), UnsupportedError);
    auto message = error_of([&] { read(w); });
    EXPECT_NE(message.find(name), std::string::npos) << message;
    EXPECT_NE(message.find("'fc.weight'"), std::string::npos) << message;
    EXPECT_NE(message.find("dropout in training"), std::string::npos) << message;
  }
  EXPECT_EQ(at::zeros_like(w).sum().item<double>(), 0);
  layer->is_active = false;
  EXPECT_LT(far(w * 2, base(w) * 2), kTolerance);
}

TEST(Fallback, AnInactiveAdapterIsNoAdapter) {
  auto& x = in().x2;
  auto w = numbers({6, 8});
  auto layer = put_lora(w);
  layer->is_active = false;
  EXPECT_TRUE(at::equal(at::linear(x, w), at::linear(x, base(w))));
  EXPECT_TRUE(at::equal(x.mm(w.t()), x.mm(base(w).t())));
  EXPECT_TRUE(at::equal(w.slice(0, 1).sum(), base(w).slice(0, 1).sum()));
  EXPECT_EQ(layer->fast_calls, 0);
}

TEST(Fallback, AResizedWeightIsAnErrorAndNeverABroadcast) {
  torch::NoGradGuard none;
  auto w = numbers({1, 8});
  auto layer = std::make_shared<FakeLora>(std::vector<int64_t>{1, 8});
  put_lora(w, layer);
  w.resize_({4, 8});
  EXPECT_NE(error_of([&] { w * 2; }), "");
  EXPECT_THROW(w.t_(), UnsupportedError);
  EXPECT_THROW(w.unsqueeze_(0), UnsupportedError);
}

}  // namespace
}  // namespace peft::testing
