#include "peft/adapter/clone.h"

#include <gtest/gtest.h>
#include <torch/script.h>
#include <torch/torch.h>

#include <sstream>

#include "peft/adapter/slots.h"
#include "peft/tensor/tag_key.h"
#include "tests/support/fake_adapter.h"

namespace peft::testing {
namespace {

namespace nn = torch::nn;
using at::Tensor;

struct NetImpl : nn::Cloneable<NetImpl> {
  NetImpl() { reset(); }
  void reset() override {
    first = register_module("first", nn::Linear(8, 8));
    second = register_module("second", nn::Linear(8, 6));
  }
  Tensor forward(const Tensor& x) { return second(first(x).tanh()); }
  nn::Linear first = nullptr, second = nullptr;
};
TORCH_MODULE(Net);

TEST(Clone, GivesTheBaseWithoutAdapters) {
  Net net;
  auto x = torch::randn({5, 8});
  auto plain = net(x);
  auto layer = put_lora(net->first->weight);
  AdapterSlots slots;
  slots.add("lora_A", "default", "weight", layer->a);
  slots.attach(net->first.ptr());
  auto names = net->named_parameters().keys();
  auto adapted = net(x);
  EXPECT_ANY_THROW(net->clone()) << "libtorch's own clone is loud";

  auto copy = peft::clone(net);
  EXPECT_TRUE(at::equal(copy->forward(x), plain));
  EXPECT_FALSE(is_tagged(copy->first->weight));
  EXPECT_EQ(copy->named_parameters().size(), 4u);
  EXPECT_FALSE(copy->first->weight.is_alias_of(net->first->weight));

  EXPECT_EQ(net->named_parameters().keys(), names) << "the model itself is as before";
  EXPECT_TRUE(carries(net->first->weight, *layer));
  EXPECT_TRUE(at::equal(net(x), adapted));
}

TEST(Clone, LeavesTheModelAsItWasWhereItCannotBeCloned) {
  struct Uncloneable : nn::Module {
    Uncloneable() { fc = register_module("fc", nn::Linear(8, 8)); }
    nn::Linear fc = nullptr;
  };
  auto net = std::make_shared<Uncloneable>();
  AdapterSlots slots;
  slots.add("lora_A", "default", "weight", torch::ones({2}));
  slots.attach(net->fc.ptr());
  auto names = net->named_parameters().keys();
  EXPECT_ANY_THROW(peft::clone(net));
  EXPECT_EQ(net->named_parameters().keys(), names);
}

TEST(Clone, FilesOfPlainAndAdaptedModulesMeetLoudlyOrLoadTheBase) {
  Net net, plain;
  auto layer = put_lora(net->first->weight);
  AdapterSlots slots;
  slots.add("lora_A", "default", "weight", layer->a);
  slots.attach(net->first.ptr());
  std::stringstream of_plain, of_adapted;
  torch::save(plain, of_plain);
  torch::save(net, of_adapted);
  const auto saved = base(net->first->weight).detach().clone();
  EXPECT_ANY_THROW(torch::load(net, of_plain)) << "No such serialized submodule: 'lora_A'";
  EXPECT_TRUE(carries(net->first->weight, *layer));
  torch::load(plain, of_adapted);
  EXPECT_TRUE(at::equal(plain->first->weight, saved));
}

TEST(Clone, OfTheModuleAloneSharesTheAdapter) {
  nn::Linear l(8, 6);
  auto layer = put_lora(l->weight);
  auto copy = std::dynamic_pointer_cast<nn::LinearImpl>(l->clone());
  auto x = torch::randn({5, 8});
  EXPECT_LT(far(copy->forward(x), l(x)), 1e-6);
  torch::NoGradGuard none;
  copy->weight.zero_();
  EXPECT_GT(base(l->weight).abs().sum().item<double>(), 0);
  EXPECT_LT(far(copy->forward(x), at::linear(x, layer->delta(l->weight), l->bias)), 1e-6);
}

TEST(Clone, OfAScriptedModuleGivesTheBase) {
  torch::jit::Module script("M");
  auto w = torch::randn({8, 8}).requires_grad_(true);
  script.register_parameter("w", w, false);
  script.define("def forward(self, x):\n    return torch.linear(x, self.w)\n");
  put_lora(w);
  auto copy = peft::clone(script);
  torch::NoGradGuard none;
  auto x = torch::randn({5, 8});
  EXPECT_TRUE(at::equal(copy.forward({x}).toTensor(), at::linear(x, base(w))));
  EXPECT_TRUE(copy.attr("w").toTensor().requires_grad());
  EXPECT_TRUE(copy.attr("w").toTensor().is_leaf());
}

}  // namespace
}  // namespace peft::testing
