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

using Block = std::function<at::Tensor(const at::Tensor&, const at::Tensor&)>;

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

// A leaf with the same values: what is computed from it ends there.
at::Tensor leaf(const at::Tensor& saved, bool needs_gradient) {
  return saved.defined() ? saved.detach().requires_grad_(needs_gradient) : saved;
}

bool wants_gradient(const at::Tensor& x) { return x.defined() && x.requires_grad(); }

struct Checkpoint : torch::autograd::Function<Checkpoint> {
  // `anchor` requires a gradient, so that the node exists even where x does not: the parameters
  // inside of the block may.
  // An undefined tensor is no argument for the engine, so `second` may be none.
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x,
                            const std::optional<at::Tensor>& second, const at::Tensor& anchor,
                            const c10::intrusive_ptr<HeldBlock>& held) {
    (void)anchor;
    const auto shared = second.value_or(at::Tensor());
    context->saved_data["random"] = random_state();
    context->saved_data["block"] = c10::IValue::make_capsule(held);
    context->saved_data["needs_x"] = wants_gradient(x);
    context->saved_data["needs_shared"] = wants_gradient(shared);
    context->save_for_backward({x, shared});
    return held->block(x, shared);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto held =
        c10::static_intrusive_pointer_cast<HeldBlock>(context->saved_data["block"].toCapsule());
    const auto x = leaf(saved[0], context->saved_data["needs_x"].toBool());
    const auto shared = leaf(saved[1], context->saved_data["needs_shared"].toBool());
    at::Tensor y;
    {
      RandomStateScope scope(context->saved_data["random"].toTensor());
      at::AutoGradMode on(true);
      y = held->block(x, shared);
    }
    if (y.requires_grad()) torch::autograd::backward({y}, {gradients[0]});
    return {x.grad(), wants_gradient(shared) ? shared.grad() : at::Tensor(), at::Tensor(),
            at::Tensor()};
  }
};

}  // namespace

at::Tensor checkpoint(std::function<at::Tensor(const at::Tensor&)> block, const at::Tensor& x) {
  return checkpoint([inner = std::move(block)](const at::Tensor& input,
                                               const at::Tensor&) { return inner(input); },
                    x, {});
}

at::Tensor checkpoint(Block block, const at::Tensor& x, const at::Tensor& given) {
  if (!at::GradMode::is_enabled()) return block(x, given);
  auto shared = given;
  if (!shared.defined()) {
    // The engine takes defined tensors alone.
    shared = at::empty({0}, x.options().requires_grad(false));
    block = [inner = std::move(block)](const at::Tensor& input, const at::Tensor&) {
      return inner(input, {});
    };
  }
  if (auto tokens = CallTokens::current()) {
    block = [tokens, inner = std::move(block)](const at::Tensor& input, const at::Tensor& second) {
      const CallTokensScope scope(tokens);
      return inner(input, second);
    };
  }
  auto anchor = at::empty({0}, x.options().requires_grad(false)).requires_grad_(true);
  const auto second = shared.defined() ? std::optional<at::Tensor>(shared) : std::nullopt;
  return Checkpoint::apply(x, second, anchor, c10::make_intrusive<HeldBlock>(std::move(block)));
}

}  // namespace peft
