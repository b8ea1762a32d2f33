#pragma once

#include <ATen/core/Tensor.h>

namespace peft {

/// True for a parameter that mark_as_adapter_parameter was called on, and that still lives. The
/// mark belongs to the tensor object and so survives Module::to.
bool is_adapter_parameter(const at::Tensor& parameter);

}  // namespace peft
