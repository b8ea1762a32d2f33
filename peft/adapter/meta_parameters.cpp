#include "peft/adapter/meta_parameters.h"

#include <ATen/ATen.h>

namespace peft {
namespace {

// What set_data does, which refuses to cross between the meta device and a real one.
void take_over(const at::Tensor& parameter, const at::Tensor& other) {
  parameter.unsafeGetTensorImpl()->shallow_copy_from(other.getIntrusivePtr());
}

}  // namespace

void drop_values(const at::Tensor& parameter) {
  take_over(parameter, at::empty(parameter.sizes(), parameter.options().device(at::kMeta)));
}

void adopt_values(const at::Tensor& parameter, const at::Tensor& values, c10::Device device) {
  take_over(parameter, values.detach().to(device, parameter.scalar_type()).contiguous());
}

}  // namespace peft
