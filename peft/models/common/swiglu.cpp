#include "peft/models/common/swiglu.h"

#include <ATen/ATen.h>

namespace peft {

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up) { return at::silu(gate) * up; }

}  // namespace peft
