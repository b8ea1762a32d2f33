#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

namespace peft {

/// Runs `block(x)` without keeping its activations and runs it again in backward, with the random
/// numbers of the first time. Parameters inside of the block get their gradients in `.grad`, as in
/// Python's reentrant checkpoint; the engine's `grad(outputs, inputs)` form does not see them.
///   x, block(x): one floating-point tensor each
at::Tensor checkpoint(std::function<at::Tensor(const at::Tensor&)> block, const at::Tensor& x);

/// The same for a block that also reads something that all blocks share and that may require a
/// gradient: an encoder's states.
///   x, block(x, shared): one floating-point tensor each; shared: another, or undefined
at::Tensor checkpoint(
    std::function<at::Tensor(const at::Tensor& x, const at::Tensor& shared)> block,
    const at::Tensor& x, const at::Tensor& shared);

}  // namespace peft
