#include "peft/casts.h"

#include <ATen/ATen.h>

namespace peft {
namespace {

// As Module::to does: the tensor object stays, and with it what rides on it.
void cast_parameter(at::Tensor parameter, at::ScalarType dtype) {
  if (parameter.scalar_type() != dtype) parameter.set_data(parameter.to(dtype));
}

}  // namespace

void cast_mixed_precision_params(torch::nn::Module& model, at::ScalarType dtype) {
  const at::NoGradGuard no_grad;
  for (const at::Tensor& parameter : model.parameters()) {
    cast_parameter(parameter, parameter.requires_grad() ? at::kFloat : dtype);
  }
}

void prepare_model_for_kbit_training(torch::nn::Module& model) {
  const at::NoGradGuard no_grad;
  for (at::Tensor parameter : model.parameters()) {
    parameter.set_requires_grad(false);
    const auto dtype = parameter.scalar_type();
    if (dtype == at::kHalf || dtype == at::kBFloat16) cast_parameter(parameter, at::kFloat);
  }
}

}  // namespace peft
