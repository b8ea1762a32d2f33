// Autograd, threads, autocast and optimisers on tagged weights.
#include "peft/adapter/gradient_guard.h"

#include <ATen/autocast_mode.h>
#include <ATen/functorch/BatchedTensorImpl.h>
#include <ATen/functorch/DynamicLayer.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <functional>
#include <thread>

#include "peft/base/error.h"
#include "tests/support/fake_adapter.h"

namespace peft::testing {
namespace {

namespace F = torch::nn::functional;
using at::Tensor;

struct Pair {
  Tensor w, merged_base;
  std::shared_ptr<FakeLora> layer;
  Tensor x = torch::randn({5, 8});
  explicit Pair(bool trainable = false) {
    torch::manual_seed(3);
    w = torch::randn({8, 8}).mul_(.3);
    merged_base = w.clone();
    w.requires_grad_(trainable);
    merged_base.requires_grad_(trainable);
    layer = put_lora(w);
  }
  Tensor merged() const { return merged_base + layer->delta(merged_base); }
};

TEST(GradientGuard, FirstBackwardGivesTheGradientOfX) {
  Pair p;
  auto gradient = [&](const std::function<Tensor(const Tensor&)>& run) {
    auto leaf = p.x.clone().requires_grad_(true);
    return torch::autograd::grad({run(leaf).pow(2).sum()}, {leaf})[0];
  };
  auto want = gradient([&](auto& x) { return at::linear(x, p.merged()); });
  EXPECT_LT(far(gradient([&](auto& x) { return at::linear(x, p.w); }), want), 1e-4);
  EXPECT_LT(far(gradient([&](auto& x) { return x.mm(p.w.t()); }), want), 1e-4);
  want = gradient([&](auto& x) { return x.mm(p.merged()); });
  EXPECT_LT(far(gradient([&](auto& x) { return x.mm(p.w); }), want), 1e-4);
}

TEST(GradientGuard, SecondAndThirdDerivativesAgree) {
  for (auto& read : std::vector<std::function<Tensor(Tensor, Tensor)>>{
           [](Tensor x, Tensor w) { return at::linear(x, w); },
           [](Tensor x, Tensor w) { return x.matmul(w.t()); },
           [](Tensor x, Tensor w) { return F::linear(x, w, torch::ones({8})); }}) {
    Pair p;
    auto derivatives = [&](const Tensor& weight) {
      auto leaf = p.x.clone().requires_grad_(true);
      auto first =
          torch::autograd::grad({read(leaf, weight).tanh().sum()}, {leaf}, {}, true, true)[0];
      auto second = torch::autograd::grad({first.pow(2).sum()}, {leaf}, {}, true, true)[0];
      auto third = torch::autograd::grad({second.pow(2).sum()}, {leaf, p.layer->a, p.layer->b});
      return std::vector<Tensor>{second, third[0], third[1], third[2]};
    };
    auto got = derivatives(p.w), want = derivatives(p.merged());
    for (size_t i = 0; i < got.size(); ++i) EXPECT_LT(far(got[i], want[i]), 1e-3) << i;
  }
}

struct Checkpoint : torch::autograd::Function<Checkpoint> {
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& x,
                        std::function<Tensor(const Tensor&)> run) {
    context->save_for_backward({x});
    context->saved_data["run"] = c10::IValue();
    runs() = run;
    return run(x);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    auto x = context->get_saved_variables()[0].detach().requires_grad_(true);
    {
      at::AutoGradMode on(true);
      auto y = runs()(x);
      y.backward(gradients[0]);
    }
    return {x.grad(), Tensor()};
  }
  static std::function<Tensor(const Tensor&)>& runs() {
    static std::function<Tensor(const Tensor&)> run;
    return run;
  }
};

TEST(GradientGuard, ReentrantCheckpointGivesTheSameGradients) {
  Pair p;
  auto read = [](const Tensor& w) {
    return [&w](const Tensor& x) { return at::linear(x, w).tanh() + x.mm(w.slice(0, 0, 8)); };
  };
  auto x = p.x.clone().requires_grad_(true);
  Checkpoint::apply(x, std::function<Tensor(const Tensor&)>(read(p.w))).pow(2).sum().backward();
  auto merged = p.merged();
  auto leaf = p.x.clone().requires_grad_(true);
  auto want =
      torch::autograd::grad({read(merged)(leaf).pow(2).sum()}, {leaf, p.layer->a, p.layer->b});
  EXPECT_LT(far(x.grad(), want[0]), 1e-4);
  EXPECT_LT(far(p.layer->a.grad(), want[1]), 1e-4);
  EXPECT_LT(far(p.layer->b.grad(), want[2]), 1e-4);
}

TEST(GradientGuard, AWriteDuringALiveGraphIsNoticed) {
  Pair p;
  auto y = at::linear(p.x.clone().requires_grad_(true), p.w).sum();
  {
    torch::NoGradGuard none;
    p.w.add_(1);
  }
  EXPECT_NE(error_of([&] { y.backward(); }).find("modified by an inplace operation"),
            std::string::npos);
}

TEST(GradientGuard, UseBelowAutogradIsRefused) {
  Pair p;
  auto run = [&](auto read) {
    at::AutoDispatchBelowAutograd inside;
    read();
  };
  EXPECT_THROW(run([&] { at::linear(p.x, p.w); }), UnsupportedError);
  EXPECT_THROW(run([&] { at::mul(p.w, 2); }), UnsupportedError);
  {
    torch::NoGradGuard none;
    EXPECT_NO_THROW(run([&] { at::linear(p.x, p.w); }));
  }
  p.layer->a.requires_grad_(false);
  p.layer->b.requires_grad_(false);
  EXPECT_NO_THROW(run([&] { at::linear(p.x, p.w); }));
}

TEST(GradientGuard, InferenceModeAndNoGradSeeTheAdapter) {
  Pair p;
  auto want = at::linear(p.x, p.merged()).detach();
  {
    torch::NoGradGuard none;
    EXPECT_LT(far(at::linear(p.x, p.w), want), 1e-5);
    EXPECT_LT(far(p.x.mm(p.w.t().contiguous()), want), 1e-5);
  }
  c10::InferenceMode guard;
  EXPECT_LT(far(at::linear(p.x, p.w), want), 1e-5);
  EXPECT_LT(far(p.x.mm(p.w.t()), want), 1e-5);
  EXPECT_LT(far(at::linear(p.x, p.w.slice(0, 0, 8)), want), 1e-5);
  EXPECT_LT(far(at::linear(p.x, p.w.clone()), want), 1e-5);
  auto inside = torch::randn({8, 8});
  auto layer = put_lora(inside);
  EXPECT_LT(far(at::linear(p.x, inside), at::linear(p.x, base(inside) + layer->delta(inside))),
            1e-5);
}

TEST(GradientGuard, ThreadsAgree) {
  Pair p;
  auto reference = [&](const Tensor& w) {
    auto leaf = p.x.clone().requires_grad_(true);
    auto y = at::linear(leaf, w).tanh().sum() + leaf.mm(w.slice(0, 2, 6).t()).sum();
    return torch::autograd::grad({y}, {leaf, p.layer->a});
  };
  auto want = reference(p.merged());
  std::vector<std::vector<Tensor>> got(8);
  std::vector<std::thread> threads;
  for (auto& result : got) threads.emplace_back([&] { result = reference(p.w); });
  for (auto& thread : threads) thread.join();
  for (auto& result : got) {
    EXPECT_LT(far(result[0], want[0]), 1e-4);
    EXPECT_LT(far(result[1], want[1]), 1e-4);
  }
}

TEST(GradientGuard, AutocastSeesTheAdapter) {
  for (bool trainable : {false, true}) {
    Pair p(trainable);
    auto want = at::linear(p.x, p.merged());
    at::autocast::set_autocast_enabled(at::kCPU, true);
    at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
    auto y = at::linear(p.x, p.w);
    auto again = F::linear(p.x, p.w, torch::zeros({8}));
    auto batched = p.x.unsqueeze(0).bmm(p.w.t().unsqueeze(0))[0];
    auto transposed = p.x.matmul(p.w.t());
    at::autocast::clear_cache();
    at::autocast::set_autocast_enabled(at::kCPU, false);
    for (auto& part : {y, again, batched, transposed}) {
      EXPECT_EQ(part.scalar_type(), at::kBFloat16);
      EXPECT_LT(far(part.to(at::kFloat), want), 3e-2);
    }
    y.to(at::kFloat).sum().backward();
    EXPECT_TRUE(p.layer->a.grad().defined());
  }
}

TEST(GradientGuard, UntaggingInsideAutocastLeavesNoStaleCopy) {
  Pair p(true);
  at::autocast::set_autocast_enabled(at::kCPU, true);
  at::linear(p.x, p.w);
  untag(p.w, *p.layer);
  auto y = at::linear(p.x, p.w);
  at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(at::kCPU, false);
  EXPECT_LT(far(y.to(at::kFloat), at::linear(p.x, p.merged_base)), 3e-2);
}

TEST(GradientGuard, VmapSeesTheAdapter) {
  torch::NoGradGuard none;
  Pair p;
  auto stacked = torch::randn({3, 5, 8}), merged = p.merged();
  auto level = at::functorch::initAndPushDynamicLayer(
      at::functorch::TransformType::Vmap, c10::SymInt(3), at::functorch::RandomnessType::Error);
  auto x = at::functorch::makeBatched(stacked, 0, level);
  std::vector<Tensor> got{at::linear(x, p.w), x.matmul(p.w.t()), x.mul(p.w.slice(0, 0, 5))};
  for (auto& y : got) y = at::functorch::maybeGetBatchedImpl(y)->value();
  at::functorch::popDynamicLayerAndDeleteMetadata();
  EXPECT_LT(far(got[0], at::linear(stacked, merged)), 1e-4);
  EXPECT_LT(far(got[1], at::linear(stacked, merged)), 1e-4);
  EXPECT_LT(far(got[2], stacked * merged.slice(0, 0, 5)), 1e-4);
}

TEST(GradientGuard, AStackOfTaggedWeightsUnderVmapSeesEachAdapter) {
  torch::NoGradGuard none;
  Pair one, two;
  auto stack = at::stack({one.w, two.w}), merged = at::stack({one.merged(), two.merged()});
  auto level = at::functorch::initAndPushDynamicLayer(
      at::functorch::TransformType::Vmap, c10::SymInt(2), at::functorch::RandomnessType::Error);
  auto y = at::linear(one.x, at::functorch::makeBatched(stack, 0, level));
  auto got = at::functorch::maybeGetBatchedImpl(y)->value();
  at::functorch::popDynamicLayerAndDeleteMetadata();
  EXPECT_LT(far(got, at::stack({at::linear(one.x, merged[0]), at::linear(one.x, merged[1])})),
            1e-4);
}

TEST(GradientGuard, AnInferenceTensorAsWeightIsRefusedAsByAnyModule) {
  Tensor w, plain;
  {
    c10::InferenceMode guard;
    w = torch::randn({8, 8});
    plain = w.clone();
    put_lora(w);
  }
  auto x = torch::randn({5, 8}).requires_grad_(true);
  EXPECT_ANY_THROW(at::linear(x, plain).sum().backward());
  EXPECT_ANY_THROW(at::linear(x, w).sum().backward());
}

template <typename Make>
void expect_same_training(Make make_optimiser) {
  Pair p(true);
  // The twin keeps its delta apart, so that the optimiser sees the base alone there as well.
  auto a = p.layer->a.detach().clone().requires_grad_(true);
  auto b = p.layer->b.detach().clone().requires_grad_(true);
  auto one = make_optimiser(std::vector<Tensor>{p.w, p.layer->a, p.layer->b});
  auto two = make_optimiser(std::vector<Tensor>{p.merged_base, a, b});
  for (int step = 0; step < 5; ++step) {
    one->step([&] {
      one->zero_grad();
      auto loss = at::linear(p.x, p.w).tanh().pow(2).sum();
      loss.backward();
      return loss;
    });
    two->step([&] {
      two->zero_grad();
      auto loss = at::linear(p.x, p.merged_base + at::mm(b, a)).tanh().pow(2).sum();
      loss.backward();
      return loss;
    });
  }
  EXPECT_LT(far(base(p.w), p.merged_base), 1e-4);
  EXPECT_LT(far(p.layer->a, a), 1e-4);
  EXPECT_LT(far(p.layer->b, b), 1e-4);
  EXPECT_TRUE(carries(p.w, *p.layer));
}

TEST(GradientGuard, OptimisersStepTheBase) {
  namespace O = torch::optim;
  using Params = std::vector<Tensor>;
  expect_same_training([](Params p) {
    return std::make_unique<O::SGD>(p, O::SGDOptions(.05).momentum(.9).weight_decay(.3));
  });
  expect_same_training(
      [](Params p) { return std::make_unique<O::Adam>(p, O::AdamOptions(.05).weight_decay(.3)); });
  expect_same_training([](Params p) {
    return std::make_unique<O::AdamW>(p, O::AdamWOptions(.05).weight_decay(.3));
  });
  expect_same_training([](Params p) {
    return std::make_unique<O::RMSprop>(p, O::RMSpropOptions(.01).weight_decay(.3));
  });
  expect_same_training([](Params p) {
    return std::make_unique<O::Adagrad>(p, O::AdagradOptions(.05).weight_decay(.3));
  });
  expect_same_training(
      [](Params p) { return std::make_unique<O::LBFGS>(p, O::LBFGSOptions(.1).max_iter(3)); });
}

TEST(GradientGuard, OptimisersStepTheBaseAfterAConversion) {
  torch::nn::Linear l(torch::nn::LinearOptions(8, 8).bias(false));
  auto layer = put_lora(l->weight);
  l->to(at::kDouble);
  l->to(at::kFloat);
  auto before = base(l->weight).detach().clone();
  torch::optim::SGD sgd({l->weight}, torch::optim::SGDOptions(1.).weight_decay(.5));
  l(torch::zeros({1, 8})).sum().backward();
  sgd.step();
  EXPECT_LT(far(base(l->weight), before * .5), 1e-6);
}

TEST(GradientGuard, ADetachedWeightGivesTheBaseNoGradient) {
  Pair p(true);
  (at::linear(p.x, p.w.detach()) + p.x.mm(p.w.t().detach()) + p.w.slice(0, 0, 5).detach())
      .sum()
      .backward();
  EXPECT_FALSE(p.w.grad().defined());
}

TEST(GradientGuard, HooksAndZeroGradWorkOnATaggedBase) {
  Pair p(true);
  int calls = 0;
  p.w.register_hook([&](const Tensor& g) {
    ++calls;
    return g * 2;
  });
  at::linear(p.x, p.w).sum().backward();
  auto doubled = p.w.grad().clone();
  at::linear(p.x, p.merged()).sum().backward();
  EXPECT_EQ(calls, 1);
  EXPECT_LT(far(doubled, p.merged_base.grad() * 2), 1e-5);
  p.w.mutable_grad().reset();
  p.w.requires_grad_(false);
  EXPECT_FALSE(p.w.requires_grad());
  EXPECT_TRUE(carries(p.w, *p.layer));
}

}  // namespace
}  // namespace peft::testing
