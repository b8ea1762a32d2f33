#include "peft/adapter/tag.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <sstream>

#include "peft/base/error.h"
#include "peft/tensor/tag_key.h"
#include "tests/support/fake_adapter.h"

namespace peft::testing {
namespace {

using at::Tensor;

struct Replaced {
  Tensor base_weight = torch::zeros({4, 4}), copy = torch::ones({4, 4}).requires_grad_(true);
  std::shared_ptr<FakeReplacement> replacement = put_replacement(base_weight, copy);
  double stored() const { return base(base_weight).sum().item<double>(); }
};

TEST(Tag, RefusesWhatCannotBeAdapted) {
  auto w = torch::randn({6, 8});
  auto layer = put_lora(w);
  auto other = std::make_shared<FakeLora>(w.sizes());
  EXPECT_THROW(put_lora(w, other), ConfigError);
  EXPECT_THROW(put_lora(w.t(), other), ConfigError);
  EXPECT_THROW(put_lora(Tensor(), other), ConfigError);
  mark_as_adapter_parameter(layer->a);
  EXPECT_THROW(put_lora(layer->a, other), ConfigError);
  layer->a.set_data(layer->a.to(at::kDouble));
  EXPECT_THROW(put_lora(layer->a, other), ConfigError) << "the mark belongs to the tensor object";
  auto p = torch::randn({6, 8});
  EXPECT_THROW(put_replacement(p, torch::randn({6, 7})), ConfigError);
  EXPECT_THROW(put_replacement(p, w), ConfigError);
  auto copy = torch::randn({6, 8});
  put_replacement(p, copy);
  EXPECT_THROW(put_lora(copy, other), ConfigError);
  EXPECT_FALSE(is_tagged(copy));
}

TEST(Tag, UntagGivesAPlainTensor) {
  auto w = torch::randn({6, 8}), x = torch::randn({5, 8});
  auto plain = at::linear(x, w), part = at::linear(x, w.slice(0, 1, 4));
  auto layer = put_lora(w);
  auto view = w.slice(0, 1, 4);
  EXPECT_TRUE(is_tagged(w));
  untag(w, *layer);
  EXPECT_FALSE(is_tagged(w));
  EXPECT_TRUE(at::equal(at::linear(x, w), plain));
  EXPECT_TRUE(at::equal(at::linear(x, view), part)) << "kept views follow";
  untag(w, *layer);
}

TEST(Tag, AConversionOfTheModelAsksNothingOfTheAdapter) {
  torch::nn::Linear l(8, 6);
  auto layer = put_lora(l->weight);
  layer->reason = "dropout in training";
  l->to(at::kDouble);
  EXPECT_TRUE(carries(l->weight, *layer));
  EXPECT_EQ(base(l->weight).scalar_type(), at::kDouble);
}

TEST(Tag, CarriesTellsWhetherTheEntryIsStillThere) {
  torch::nn::Linear l(8, 6);
  auto layer = put_lora(l->weight);
  EXPECT_TRUE(carries(l->weight, *layer));
  l->to(at::kDouble);
  l->to(at::kFloat);
  EXPECT_TRUE(carries(l->weight, *layer));
  EXPECT_FALSE(carries(l->weight, FakeLora({6, 8})));
  l->weight.set_data(torch::randn({6, 8}));
  EXPECT_FALSE(carries(l->weight, *layer));
}

// What stays silent, with the cure that docs/tagged-weight.md names.
TEST(Tag, WhatLibtorchDoesBehindTheTagIsAsDocumented) {
  torch::NoGradGuard none;
  auto x = torch::randn({5, 8});
  torch::nn::Linear l(torch::nn::LinearOptions(8, 6).bias(false)), other(8, 6), third(8, 6);
  auto layer = put_lora(l->weight);
  other->weight.set_data(l->weight);
  EXPECT_TRUE(is_tagged(other->weight));
  third->weight.set_data(base(l->weight));
  EXPECT_FALSE(is_tagged(third->weight));
  EXPECT_TRUE(at::equal(third->weight, base(l->weight)));

  auto registered = l->weight;
  l->weight = torch::zeros({6, 8});
  EXPECT_TRUE(carries(registered, *layer)) << "the registered tensor keeps its adapter";
  EXPECT_EQ(l(x).abs().sum().item<double>(), 0) << "the layer reads the other one";
}

TEST(Tag, BaseIsTheSameBytesAndEffectiveIsWhatTheModelSees) {
  auto w = torch::randn({6, 8}).requires_grad_(true);
  auto untagged = torch::randn({2});
  EXPECT_TRUE(base(untagged).is_same(untagged));
  EXPECT_TRUE(effective(untagged).is_same(untagged));
  auto bytes = w.data_ptr();
  auto layer = put_lora(w);
  EXPECT_EQ(base(w).data_ptr(), bytes);
  EXPECT_FALSE(is_tagged(base(w)));
  EXPECT_TRUE(base(w).requires_grad());
  EXPECT_LT(far(effective(w), base(w) + layer->delta(w)), 1e-6);
  base(w).sum().backward();
  EXPECT_TRUE(w.grad().defined());
}

TEST(Tag, DoesNotKeepTheWeightOrTheLayerAlive) {
  std::weak_ptr<FakeLora> layer;
  c10::weak_intrusive_ptr<c10::TensorImpl> weight(c10::intrusive_ptr<c10::TensorImpl>{});
  {
    torch::nn::Linear l(8, 6);
    layer = put_lora(l->weight);
    weight = c10::weak_intrusive_ptr<c10::TensorImpl>(l->weight.getIntrusivePtr());
    l->to(at::kDouble);
    l(torch::ones({1, 8}, at::kDouble).requires_grad_(true)).sum();
  }
  EXPECT_TRUE(weight.expired());
  weight.reset();
  EXPECT_TRUE(layer.expired());
}

TEST(Tag, KindsOfATiedWeightAreApart) {
  auto w = torch::randn({6, 8}).requires_grad_(true), x = torch::randn({5, 8});
  auto ids = torch::tensor({0, 3});
  auto on_lookup = std::make_shared<FakeLora>(w.sizes(), "embed_tokens.weight");
  auto on_product = std::make_shared<FakeLora>(w.sizes(), "lm_head.weight");
  tag(w, std::static_pointer_cast<AdapterLayer>(on_lookup), {CallKind::kLookup});
  EXPECT_LT(far(at::linear(x, w), at::linear(x, base(w))), 1e-6) << "no entry: the base";
  auto both = [&] { return w * 2; };
  EXPECT_THROW(both(), UnsupportedError);
  EXPECT_NE(error_of(both).find("aten::mul on 'embed_tokens.weight'"), std::string::npos);
  tag(w, std::static_pointer_cast<AdapterLayer>(on_product), {CallKind::kProduct});
  auto lookup = base(w) + on_lookup->delta(w), product = base(w) + on_product->delta(w);
  EXPECT_LT(far(at::embedding(w, ids), at::embedding(lookup, ids)), 1e-5);
  EXPECT_LT(far(at::linear(x, w), at::linear(x, product)), 1e-5);
  EXPECT_LT(far(x.mm(w.t()), x.mm(product.t())), 1e-5);
  EXPECT_LT(far(at::bmm(x.unsqueeze(0), w.t().unsqueeze(0))[0], x.mm(product.t())), 1e-5);
  EXPECT_LT(far(w.slice(0, 1).index({ids}), lookup.slice(0, 1).index({ids})), 1e-5);
  EXPECT_LT(far(effective(w, CallKind::kLookup), lookup), 1e-5);
  EXPECT_LT(far(effective(w, CallKind::kProduct), product), 1e-5);
  EXPECT_THROW(both(), UnsupportedError);
  on_lookup->is_active = on_product->is_active = false;
  EXPECT_LT(far(both(), base(w) * 2), 1e-6);
  untag(w, *on_lookup);
  EXPECT_TRUE(carries(w, *on_product));
  EXPECT_FALSE(carries(w, *on_lookup));
}

TEST(Tag, ATiedWeightMayBeReplacedForOneKind) {
  auto w = torch::zeros({6, 8}), x = torch::ones({1, 8}), copy = torch::ones({6, 8});
  auto replacement = std::make_shared<FakeReplacement>(copy);
  tag(w, std::static_pointer_cast<Replacement>(replacement), {CallKind::kProduct});
  EXPECT_EQ(at::linear(x, w).sum().item<double>(), 48);
  EXPECT_EQ(at::embedding(w, torch::tensor({1})).sum().item<double>(), 0);
  replacement->copy = Tensor();
  EXPECT_EQ(at::linear(x, w).sum().item<double>(), 0) << "undefined: the base";
}

TEST(Tag, WritesReachTheBaseOfAReplacedParameter) {
  auto write = [](const char* name, double want, auto run) {
    SCOPED_TRACE(name);
    Replaced r;
    torch::NoGradGuard none;
    run(r.base_weight);
    EXPECT_EQ(r.stored(), want);
    EXPECT_EQ(r.copy.sum().template item<double>(), 16);
    EXPECT_TRUE(carries(r.base_weight, *r.replacement));
  };
  write("add_", 16, [](Tensor& w) { w.add_(1); });
  write("fill_", 32, [](Tensor& w) { w.fill_(2); });
  write("copy_", 112, [](Tensor& w) { w.copy_(torch::full({4, 4}, 7.)); });
  write("through a view", 36, [](Tensor& w) { w[0].fill_(9); });
  write("through t", 36, [](Tensor& w) { w.t()[0].fill_(9); });
  write("through data", 16, [](Tensor& w) { w.data().add_(1); });
  write("through detach", 16, [](Tensor& w) { w.detach().add_(1); });
  write("slice copy_", 8, [](Tensor& w) { w.slice(0, 0, 2).copy_(torch::ones({2, 4})); });
  write("index_put_", 4, [](Tensor& w) { w.index_put_({torch::tensor({1})}, torch::ones({4})); });
  write("out=", 64, [](Tensor& w) { at::mm_out(w, torch::ones({4, 4}), torch::ones({4, 4})); });
  write("foreach", 16, [](Tensor& w) {
    std::vector<Tensor> list{w};
    at::_foreach_add_(list, 1);
  });
  write("set_", 48, [](Tensor& w) { w.set_(torch::full({4, 4}, 3.)); });
  write("resize_", 0, [](Tensor& w) { w.resize_({4, 4}); });
  write("normal_", 0, [](Tensor& w) { w.normal_(0, 1).zero_(); });
  write("embedding_renorm_", 1, [](Tensor& w) {
    w[1].fill_(9);
    at::embedding_renorm_(w, torch::tensor({1}), .5, 2.);
  });
}

TEST(Tag, ReadsOfAReplacedParameterGiveTheCopy) {
  Replaced r;
  auto& w = r.base_weight;
  auto sum = [](const Tensor& t) { return t.sum().item<double>(); };
  EXPECT_EQ(sum(at::cat({w, w})), 32);
  EXPECT_EQ(sum(w.slice(0, 0, 1)), 4);
  EXPECT_EQ(sum(w.chunk(2)[0]), 8);
  EXPECT_EQ(sum(w.clone()), 16);
  EXPECT_EQ(sum(w * 2), 32);
  EXPECT_EQ(sum(w.index({torch::tensor({0, 1})})), 8);
  EXPECT_EQ(sum(at::linear(torch::zeros({1, 2}), torch::zeros({4, 2}), w[0])), 4) << "optional";
  EXPECT_EQ(sum(w.detach()), 16);
  auto copy = torch::zeros({4, 4});
  EXPECT_EQ(sum(copy.copy_(w)), 0) << "copy_ stores what is stored";
  EXPECT_TRUE(at::equal(w, torch::zeros({4, 4}))) << "equal compares what is stored";
  at::linear(torch::ones({1, 4}), w).sum().backward();
  EXPECT_TRUE(r.copy.grad().defined());
}

TEST(Tag, ModulesConvertSaveAndLoadTheBase) {
  torch::nn::Linear l(4, 4), other(4, 4), third(4, 4);
  l->weight.set_requires_grad(false);
  l->weight.data().zero_();
  auto copy = torch::ones({4, 4}).requires_grad_(true);
  auto replacement = put_replacement(l->weight, copy);
  l->to(at::kDouble);
  EXPECT_EQ(base(l->weight).scalar_type(), at::kDouble);
  EXPECT_EQ(base(l->weight).sum().item<double>(), 0);
  l->to(at::kFloat);
  EXPECT_TRUE(carries(l->weight, *replacement));
  std::stringstream plain, adapted;
  torch::save(other, plain);
  torch::load(l, plain);
  EXPECT_TRUE(at::equal(base(l->weight), other->weight));
  EXPECT_EQ(copy.sum().item<double>(), 16);
  torch::save(l, adapted);
  torch::load(third, adapted);
  EXPECT_TRUE(at::equal(third->weight, other->weight));
}

TEST(Tag, ToMetaIsRefusedAsForAnyModule) {
  torch::nn::Linear plain(4, 4), adapted(4, 4);
  put_lora(adapted->weight);
  EXPECT_THROW(plain->to(at::kMeta), c10::Error);
  EXPECT_THROW(adapted->to(at::kMeta), c10::Error);
}

TEST(Tag, ReplacedBuffersAreWrittenInTheCopy) {
  torch::nn::BatchNorm1d norm(4);
  auto mean = torch::zeros({4}), variance = torch::ones({4});
  auto batches = torch::zeros({}, at::kLong);
  auto m = put_replacement(norm->running_mean, mean, true);
  auto v = put_replacement(norm->running_var, variance, true);
  auto n = put_replacement(norm->num_batches_tracked, batches, true);
  norm(torch::randn({16, 4}) + 3);
  EXPECT_GT(mean.sum().item<double>(), .5);
  EXPECT_EQ(batches.item<int64_t>(), 1);
  EXPECT_EQ(base(norm->running_mean).abs().sum().item<double>(), 0);
  EXPECT_EQ(base(norm->num_batches_tracked).item<int64_t>(), 0);
}

TEST(Tag, ReplacedNormsTrainTheirCopy) {
  torch::nn::LayerNorm norm(torch::nn::LayerNormOptions({8}));
  auto copy = torch::full({8}, 2.).requires_grad_(true), x = torch::randn({5, 8});
  put_replacement(norm->weight, copy);
  auto y = norm(x);
  EXPECT_LT(far(y, at::layer_norm(x, {8}, copy, norm->bias)), 1e-6);
  y.pow(2).sum().backward();
  EXPECT_TRUE(copy.grad().defined());
  EXPECT_FALSE(norm->weight.grad().defined());
}

TEST(Tag, BiasAndWeightMayBothBeTagged) {
  auto w = torch::randn({6, 8}), b = torch::zeros({6}), x = torch::randn({5, 8});
  auto layer = put_lora(w);
  put_replacement(b, torch::ones({6}));
  auto merged = base(w) + layer->delta(w);
  EXPECT_LT(far(at::linear(x, w, b), at::linear(x, merged, torch::ones({6}))), 1e-5);
  EXPECT_LT(far(at::addmm(b, x, w.t()), at::linear(x, merged, torch::ones({6}))), 1e-5);
  auto input = torch::zeros({5, 8});
  put_replacement(input, x);
  EXPECT_LT(far(at::linear(input, w), at::linear(x, merged)), 1e-5);
}

}  // namespace
}  // namespace peft::testing
