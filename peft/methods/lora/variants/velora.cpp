#include "peft/methods/lora/variants/velora.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

#include "peft/base/json_fields.h"
#include "peft/methods/lora/products.h"

namespace peft::lora {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

int64_t group_width(int64_t width, int64_t groups) { return (width + groups - 1) / groups; }

// The rows cut into groups, filled up with zeros.  x [..., I] -> [N, groups, ceil(I / groups)]
Tensor as_groups(const Tensor& x, int64_t groups) {
  const int64_t width = group_width(x.size(-1), groups);
  const int64_t missing = groups * width - x.size(-1);
  const Tensor whole = missing > 0 ? at::constant_pad_nd(x, {0, missing}) : x;
  return whole.reshape({-1, groups, width});
}

// Of length one; ones in every place where there is no direction.
Tensor normalised(const Tensor& direction) {
  const Tensor wide = direction.to(at::kFloat);
  const Tensor length = at::linalg_vector_norm(wide);
  if (length.item<double>() > 0) return wide / length;
  return at::full_like(wide, 1.0 / std::sqrt(static_cast<double>(wide.numel())));
}

/// x Aᵀ that keeps no x.
class CompressedLinear : public torch::autograd::Function<CompressedLinear> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& a,
                        const Tensor& direction, int64_t groups, double scale) {
    const Tensor compressed = at::matmul(as_groups(x, groups), direction.to(x.scalar_type()));
    context->save_for_backward({compressed, a, direction});
    context->saved_data["scale"] = scale;
    context->saved_data["shape"] = x.sizes().vec();
    context->saved_data["dtype"] = static_cast<int64_t>(x.scalar_type());
    return at::linear(x, a.to(x.scalar_type()));
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    variable_list out(5);
    if (!gradients[0].defined()) return out;
    const auto saved = context->get_saved_variables();
    const Tensor &compressed = saved[0], &a = saved[1], &direction = saved[2];
    const auto shape = context->saved_data["shape"].toIntVector();
    const auto dtype = static_cast<at::ScalarType>(context->saved_data["dtype"].toInt());
    const Tensor dy = gradients[0].reshape({-1, gradients[0].size(-1)});  // [N, R]
    if (context->needs_input_grad(0)) {
      out[0] = at::mm(dy, a.to(dy.scalar_type())).to(dtype).reshape(shape);
    }
    if (context->needs_input_grad(1)) {
      const Tensor rows = compressed.to(dy.scalar_type()).unsqueeze(-1) *
                          direction.to(dy.scalar_type()).view({1, 1, -1});
      const Tensor x = rows.flatten(1).narrow(1, 0, shape.back()) *
                       context->saved_data["scale"].toDouble();  // [N, I]
      out[1] = at::mm(dy.t(), x).to(a.scalar_type());
    }
    return out;
  }
};

}  // namespace

VeloraConfig VeloraConfig::parse(const Json& object) {
  const FieldPath path{"LoraConfig", "velora_config"};
  VeloraConfig config;
  read_value(object, config, path);
  const auto refuse = [&](const char* key, const char* expected) {
    throw_wrong_type(object.at(key), expected, path.child(key));
  };
  if (config.num_groups <= 0) refuse("num_groups", "a positive integer");
  if (!(config.scale > 0)) refuse("scale", "a positive number");
  const std::string& type = config.init_type;
  if (type != "batch_average" && type != "batch_average_once" && type != "random") {
    refuse("init_type", "'batch_average', 'batch_average_once' or 'random'");
  }
  return config;
}

VeloraVariant::VeloraVariant(const LoraConfig& config, const Site& site)
    : config_(VeloraConfig::parse(config.velora_config)), kind_(site.kind) {}

void VeloraVariant::attach(const VariantSetup& setup, const at::TensorOptions& options,
                           AdapterSlots& slots) {
  const int64_t width = group_width(setup.site.in_features, config_.num_groups);
  initialised_ = config_.init_type == "random";
  const Tensor start = initialised_ ? normalised(at::randn({width})) : at::zeros({width});
  direction_ = slots.add_buffer("lora_velora_embed", setup.adapter,
                                start.to(options.dtype(setup.site.dtype)));
}

// Points e along the mean of all groups of this batch.
void VeloraVariant::point_along(const Tensor& x) const {
  if (config_.init_type == "random") return;
  if (config_.init_type == "batch_average_once" && initialised_) return;
  const at::NoGradGuard no_grad;
  const Tensor groups = as_groups(x.detach(), config_.num_groups);
  direction_.copy_(normalised(groups.flatten(0, 1).mean(0)));
  initialised_ = true;
}

Tensor VeloraVariant::linear(const LoraAdapter& adapter, const LinearCall& call,
                             const Tensor& y) const {
  const Tensor x = dropped(call.x, call.dropout);
  if (!call.training || !at::GradMode::is_enabled()) {
    return y + low_rank_product(adapter, x).to(y.scalar_type()) * adapter.scaling;
  }
  point_along(x);
  // A copy: the graph of this call keeps its direction while later calls turn the buffer.
  const Tensor low =
      CompressedLinear::apply(x, adapter.a, direction_.clone(), config_.num_groups, config_.scale);
  return y + times_b(adapter, low).to(y.scalar_type()) * adapter.scaling;
}

Tensor VeloraVariant::delta(const LoraAdapter& adapter, const Tensor&, const Tensor&) const {
  return weight_change(adapter, kind_);
}

}  // namespace peft::lora
