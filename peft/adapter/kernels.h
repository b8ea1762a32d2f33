#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

namespace torch {
class Library;
}

namespace peft::dispatch {

/// Serves every operator that has no kernel of its own: writes reach the base, views and copies
/// keep the tag, reads get what the model should see.
void fallback(const c10::OperatorHandle& op, c10::DispatchKeySet keys, torch::jit::Stack* stack);

/// The fast roads, one function a family. Each kernel gives what the fallback gives, sooner.
void register_product_kernels(torch::Library& aten);
void register_lookup_kernels(torch::Library& aten);
void register_convolution_kernels(torch::Library& aten);
void register_view_kernels(torch::Library& aten);

}  // namespace peft::dispatch
