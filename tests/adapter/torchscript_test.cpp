// Tagged weights inside scripted modules: every case several times and with two shapes, since the
// executor changes its plan after the first calls.
#include <gtest/gtest.h>
#include <torch/csrc/jit/frontend/tracer.h>
#include <torch/csrc/jit/passes/freeze_module.h>
#include <torch/csrc/jit/python/update_graph_executor_opt.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/script.h>

#include <sstream>
#include <thread>

#include "peft/base/error.h"
#include "tests/support/fake_adapter.h"

namespace peft::testing {
namespace {

using at::Tensor;

class OptimiserOff {
 public:
  OptimiserOff() : before_(torch::jit::getGraphExecutorOptimize()) {
    torch::jit::setGraphExecutorOptimize(false);
  }
  ~OptimiserOff() { torch::jit::setGraphExecutorOptimize(before_); }

 private:
  bool before_;
};

class LegacyExecutor {
 public:
  LegacyExecutor() { torch::jit::getProfilingMode() = false; }
  ~LegacyExecutor() { torch::jit::getProfilingMode() = true; }
};

// Each reads two weights, w0 and w1, in its own way.
const std::vector<std::string> kBodies = {
    "torch.sigmoid(torch.linear(torch.tanh(torch.linear(x, self.w0)) * 2.0 + 1.0, self.w1)) * 3.0",
    "torch.matmul(torch.matmul(x, self.w0.t()).tanh(), self.w1)",
    "torch.mm(x, self.w0.t()) + torch.mm(x, self.w1.t()) + torch.mm(x, self.w0)",
    "torch.addmm(self.b, torch.mm(x, self.w0).relu(), self.w1.t())",
    "torch.addmm(self.b, x, self.w0.t(), beta=1, alpha=2) * torch.linear(x, self.w1, self.b)",
};

struct Net {
  torch::jit::Module script{"M"};
  Tensor w0, w1, u0, u1, b = torch::randn({8});
  std::shared_ptr<FakeLora> l0, l1;

  explicit Net(const std::string& body, bool trainable_base = false) {
    torch::manual_seed(2);
    w0 = torch::randn({8, 8}).mul_(.3), w1 = torch::randn({8, 8}).mul_(.3);
    u0 = w0.clone(), u1 = w1.clone();
    for (auto& t : {w0, w1, u0, u1}) t.set_requires_grad(trainable_base);
    script.register_parameter("w0", w0, false);
    script.register_parameter("w1", w1, false);
    script.register_parameter("b", b, false);
    script.register_attribute("training", c10::BoolType::get(), true);
    script.define("def forward(self, x):\n    return " + body + "\n");
    l0 = put_lora(w0), l1 = put_lora(w1);
  }
  Tensor merged0() const { return u0 + l0->delta(u0); }
  Tensor merged1() const { return u1 + l1->delta(u1); }
};

Tensor expected(size_t body, const Tensor& x, const Tensor& w0, const Tensor& w1, const Tensor& b) {
  switch (body) {
    case 0:
      return at::sigmoid(at::linear(at::tanh(at::linear(x, w0)) * 2 + 1, w1)) * 3;
    case 1:
      return x.matmul(w0.t()).tanh().matmul(w1);
    case 2:
      return x.mm(w0.t()) + x.mm(w1.t()) + x.mm(w0);
    case 3:
      return at::addmm(b, x.mm(w0).relu(), w1.t());
    default:
      return at::addmm(b, x, w0.t(), 1, 2) * at::linear(x, w1, b);
  }
}

constexpr int kRuns = 5;
Tensor input_of(int run) { return torch::randn({run < 3 ? 5 : 7, 8}); }

void expect_exact_training(size_t body, bool x_needs_gradient, bool trainable_base) {
  SCOPED_TRACE(kBodies[body]);
  Net net(kBodies[body], trainable_base);
  for (int run = 0; run < kRuns; ++run) {
    auto x = input_of(run).requires_grad_(x_needs_gradient);
    std::vector<Tensor> at_tagged{net.l0->a, net.l0->b, net.l1->a, net.l1->b};
    auto at_merged = at_tagged;
    if (x_needs_gradient) at_tagged.push_back(x), at_merged.push_back(x);
    if (trainable_base) at_tagged.push_back(net.w0), at_merged.push_back(net.u0);
    auto y = net.script.forward({x}).toTensor();
    auto z = expected(body, x, net.merged0(), net.merged1(), net.b);
    EXPECT_LT(far(y, z), 1e-4) << "run " << run;
    auto got = torch::autograd::grad({y.pow(2).sum()}, at_tagged, {}, false, false, true);
    auto want = torch::autograd::grad({z.pow(2).sum()}, at_merged);
    for (size_t i = 0; i < want.size(); ++i)
      EXPECT_LT(far(got[i], want[i]), 1e-4) << run << " " << i;
  }
}

TEST(TorchScript, TrainingIsExactWithTheOptimiserOff) {
  OptimiserOff off;
  for (size_t body = 0; body < kBodies.size(); ++body) {
    for (bool x_needs_gradient : {false, true}) {
      for (bool trainable_base : {false, true}) {
        expect_exact_training(body, x_needs_gradient, trainable_base);
      }
    }
  }
}

TEST(TorchScript, TrainingIsExactWithTheOptimiserOffInTheLegacyExecutor) {
  OptimiserOff off;
  LegacyExecutor legacy;
  for (size_t body = 0; body < kBodies.size(); ++body) expect_exact_training(body, true, false);
}

TEST(TorchScript, TrainingUnderTheOptimiserIsRefusedInEveryRun) {
  for (const auto& body : kBodies) {
    Net net(body);
    for (int run = 0; run < kRuns; ++run) {
      auto message = error_of([&] { net.script.forward({input_of(run)}); });
      EXPECT_NE(message.find("setGraphExecutorOptimize(false)"), std::string::npos) << message;
      EXPECT_NE(message.find("'fc.weight'"), std::string::npos);
    }
  }
}

TEST(TorchScript, TrainingAReplacementUnderTheOptimiserIsRefused) {
  torch::jit::Module script("M");
  auto w = torch::randn({8, 8}), copy = torch::randn({8, 8}).requires_grad_(true);
  script.register_parameter("w", w, false);
  script.define("def forward(self, x):\n    return torch.linear(x, self.w).tanh()\n");
  put_replacement(w, copy);
  EXPECT_THROW(script.forward({torch::randn({5, 8})}), std::exception);
  OptimiserOff off;
  for (int run = 0; run < kRuns; ++run) {
    auto x = input_of(run).requires_grad_(true);
    auto y = script.forward({x}).toTensor();
    auto got = torch::autograd::grad({y.pow(2).sum()}, {copy, x});
    auto want = torch::autograd::grad({at::linear(x, copy).tanh().pow(2).sum()}, {copy, x});
    EXPECT_LT(far(got[0], want[0]), 1e-4);
    EXPECT_LT(far(got[1], want[1]), 1e-4);
  }
}

TEST(TorchScript, TheSwitchBelongsToTheThread) {
  OptimiserOff off;
  bool inherited = true;
  std::thread([&] { inherited = !torch::jit::getGraphExecutorOptimize(); }).join();
  EXPECT_FALSE(inherited);
}

void expect_inference() {
  torch::NoGradGuard none;
  for (size_t body = 0; body < kBodies.size(); ++body) {
    SCOPED_TRACE(kBodies[body]);
    Net net(kBodies[body]);
    for (int run = 0; run < kRuns; ++run) {
      auto x = input_of(run);
      auto want = expected(body, x, net.merged0(), net.merged1(), net.b);
      EXPECT_LT(far(net.script.forward({x}).toTensor(), want), 1e-4) << "run " << run;
    }
  }
}

TEST(TorchScript, InferenceKeepsTheOptimiser) { expect_inference(); }
TEST(TorchScript, InferenceKeepsTheLegacyExecutor) {
  LegacyExecutor legacy;
  expect_inference();
}

TEST(TorchScript, FrozenAdaptersPassTheGradientOfXUnderTheOptimiser) {
  for (size_t body = 0; body < kBodies.size(); ++body) {
    SCOPED_TRACE(kBodies[body]);
    Net net(kBodies[body]);
    for (auto& t : {net.l0->a, net.l0->b, net.l1->a, net.l1->b}) t.set_requires_grad(false);
    for (int run = 0; run < kRuns; ++run) {
      auto x = input_of(run).requires_grad_(true);
      auto y = net.script.forward({x}).toTensor();
      auto z = expected(body, x, net.merged0(), net.merged1(), net.b);
      EXPECT_LT(far(y, z), 1e-4);
      auto got = torch::autograd::grad({y.pow(2).sum()}, {x});
      EXPECT_LT(far(got[0], torch::autograd::grad({z.pow(2).sum()}, {x})[0]), 1e-4)
          << "run " << run;
    }
  }
}

struct Copies : ::testing::Test {
  torch::NoGradGuard none;
  Net net{kBodies[0]};
  void expect_adapted(torch::jit::Module& module, const Net& of) {
    for (int run = 0; run < kRuns; ++run) {
      auto x = input_of(run);
      EXPECT_LT(
          far(module.forward({x}).toTensor(), expected(0, x, of.merged0(), of.merged1(), of.b)),
          1e-4);
    }
  }
};

TEST_F(Copies, CopyCloneAndDeepcopyKeepTheAdapter) {
  auto copy = net.script.copy(), deep = net.script.deepcopy(), clone = net.script.clone();
  for (auto* module : {&copy, &deep, &clone}) expect_adapted(*module, net);
  EXPECT_FALSE(deep.attr("w0").toTensor().is_alias_of(net.w0));
}

TEST_F(Copies, FreezeAndConversionKeepTheAdapter) {
  net.script.to(at::kDouble);
  net.script.to(at::kFloat);
  expect_adapted(net.script, net);
  net.script.eval();
  auto frozen = torch::jit::freeze(net.script);
  expect_adapted(frozen, net);
}

TEST_F(Copies, OptimizeForInferenceBakesTheAdapterIn) {
  net.script.eval();
  auto optimised = torch::jit::optimize_for_inference(net.script);
  expect_adapted(optimised, net);
}

TEST_F(Copies, SavingWritesTheBase) {
  std::stringstream file;
  net.script.save(file);
  auto loaded = torch::jit::load(file);
  EXPECT_TRUE(at::equal(loaded.attr("w0").toTensor(), net.u0));
  auto x = input_of(0);
  EXPECT_LT(far(loaded.forward({x}).toTensor(), expected(0, x, net.u0, net.u1, net.b)), 1e-5);
}

TEST(TorchScript, TracingAnAdaptedFunctionIsRefused) {
  auto w = torch::randn({8, 8});
  put_lora(w);
  EXPECT_ANY_THROW(torch::jit::tracer::trace(
      {torch::randn({5, 8})},
      [&](torch::jit::Stack in) -> torch::jit::Stack { return {at::linear(in[0].toTensor(), w)}; },
      [](const Tensor&) { return ""; }, false, false));
}

TEST(TorchScript, TwoLayersOfOneTypeOfWhichOneIsAdapted) {
  torch::NoGradGuard none;
  torch::jit::Module layer("Layer");
  auto w = torch::randn({8, 8});
  layer.register_parameter("weight", w, false);
  layer.define("def forward(self, x):\n    return torch.linear(x, self.weight)\n");
  auto other = layer.deepcopy();
  auto lora = put_lora(w);
  for (int run = 0; run < kRuns; ++run) {
    auto x = input_of(run);
    EXPECT_LT(far(layer.forward({x}).toTensor(), at::linear(x, base(w) + lora->delta(w))), 1e-4);
    EXPECT_LT(far(other.forward({x}).toTensor(), at::linear(x, base(w))), 1e-5);
  }
}

}  // namespace
}  // namespace peft::testing
