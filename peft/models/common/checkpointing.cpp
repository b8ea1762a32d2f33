#include "peft/models/common/checkpointing.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <memory>
#include <mutex>
#include <utility>

#include "peft/tensor/call_tokens.h"

namespace peft {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

using Block = std::function<at::Tensor(const at::Tensor&)>;

at::Tensor random_state() {
  auto generator = at::detail::getDefaultCPUGenerator();
  std::lock_guard<std::mutex> lock(generator.mutex());
  return generator.get_state();
}

void set_random_state(const at::Tensor& state) {
  auto generator = at::detail::getDefaultCPUGenerator();
  std::lock_guard<std::mutex> lock(generator.mutex());
  generator.set_state(state);
}

// Puts the random numbers back on every way out.
class RandomStateScope {
 public:
  explicit RandomStateScope(const at::Tensor& state) : saved_(random_state()) {
    set_random_state(state);
  }
  ~RandomStateScope() { set_random_state(saved_); }
  RandomStateScope(const RandomStateScope&) = delete;
  RandomStateScope& operator=(const RandomStateScope&) = delete;

 private:
  at::Tensor saved_;
};

struct HeldBlock : torch::CustomClassHolder {
  explicit HeldBlock(Block b) : block(std::move(b)) {}
  Block block;
};

struct Checkpoint : torch::autograd::Function<Checkpoint> {
  // `anchor` requires a gradient, so that the node exists even where x does not: the parameters
  // inside of the block may.
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& anchor,
                            const c10::intrusive_ptr<HeldBlock>& held) {
    (void)anchor;
    context->saved_data["random"] = random_state();
    context->saved_data["block"] = c10::IValue::make_capsule(held);
    context->saved_data["needs_x"] = x.requires_grad();
    context->save_for_backward({x});
    return held->block(x);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto held =
        c10::static_intrusive_pointer_cast<HeldBlock>(context->saved_data["block"].toCapsule());
    const bool needs_x = context->saved_data["needs_x"].toBool();
    auto x = saved[0].detach();
    x.requires_grad_(needs_x);
    at::Tensor y;
    {
      RandomStateScope scope(context->saved_data["random"].toTensor());
      at::AutoGradMode on(true);
      y = held->block(x);
    }
    if (y.requires_grad()) torch::autograd::backward({y}, {gradients[0]});
    return {needs_x ? x.grad() : at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor checkpoint(Block block, const at::Tensor& x) {
  if (!at::GradMode::is_enabled()) return block(x);
  if (auto tokens = CallTokens::current()) {
    block = [tokens, inner = std::move(block)](const at::Tensor& input) {
      const CallTokensScope scope(tokens);
      return inner(input);
    };
  }
  auto anchor = at::empty({0}, x.options().requires_grad(false)).requires_grad_(true);
  return Checkpoint::apply(x, anchor, c10::make_intrusive<HeldBlock>(std::move(block)));
}

}  // namespace peft
