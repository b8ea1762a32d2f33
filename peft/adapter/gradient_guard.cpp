#include "peft/adapter/gradient_guard.h"

#include <c10/core/InferenceMode.h>
#include <torch/csrc/jit/python/update_graph_executor_opt.h>
#include <torch/csrc/jit/runtime/interpreter.h>

#include "peft/base/error.h"

namespace peft::dispatch {
namespace {

bool is_trainable(const Entry& entry) {
  if (entry.layer) return entry.layer->trainable();
  if (const auto* layer = entry.replacement->per_row()) return layer->trainable();
  return entry.replacement->current().requires_grad();
}

// AutogradCPU and its like are never excluded by themselves; this key is what guards exclude.
bool runs_below_autograd() {
  return c10::impl::tls_is_dispatch_key_excluded(c10::DispatchKey::AutogradFunctionality) &&
         !c10::InferenceMode::is_enabled();
}

bool runs_in_optimising_executor() {
  return torch::jit::getGraphExecutorOptimize() && !torch::jit::currentCallstack().empty();
}

}  // namespace

void refuse_lost_gradient(const Entry& entry, std::string_view op) {
  if (!at::GradMode::is_enabled() || !is_trainable(entry)) return;
  if (runs_below_autograd()) {
    throw UnsupportedError(
        std::string(op) + " on '" + entry.parameter_name() +
        "': the adapter's gradient would be lost: expected a call that autograd "
        "sees, got one below it. Use a NoGradGuard where no gradient is wanted.");
  }
  if (runs_in_optimising_executor()) {
    throw UnsupportedError(
        std::string(op) + " on '" + entry.parameter_name() +
        "': TorchScript's optimising executor differentiates by itself and would drop the "
        "adapter's "
        "gradient: expected it to be off while training, got it on. Call "
        "torch::jit::setGraphExecutorOptimize(false) in every thread that trains.");
  }
}

}  // namespace peft::dispatch
