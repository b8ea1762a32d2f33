#include "peft/models/common/causal_attention.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "peft/models/common/attention_kernels.h"
#include "peft/models/common/fused.h"
#include "peft/tensor/product_dtype.h"

namespace peft {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// A longer row's scores would take more scratch memory a thread than libtorch's own attention.
constexpr int64_t kMostTokens = 8192;

at::Tensor with_dense_rows(const at::Tensor& x) { return x.stride(3) == 1 ? x : x.contiguous(); }

struct Attended {
  at::Tensor out;      // [B, T, H, D]
  at::Tensor log_sum;  // [B, H, T] float32
};

Attended attended(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale) {
  const auto batch = q.size(0), heads = q.size(1), tokens = q.size(2), width = q.size(3);
  const auto shared = heads / k.size(1), keys = k.size(2);
  Attended result{.out = at::empty({batch, tokens, heads, width}, q.options()),
                  .log_sum = at::empty({batch, heads, tokens}, q.options().dtype(at::kFloat))};
  fused::dispatch(q.scalar_type(), [&]<typename T>() {
    fused::parallel(batch * heads, tokens * keys, [&](int64_t begin, int64_t end) {
      for (auto item = begin; item < end; ++item) {
        const auto b = item / heads, h = item % heads, group = h / shared;
        kernels::causal_attention(kernels::CausalHead<T>{
            .q = fused::data<T>(q) + b * q.stride(0) + h * q.stride(1),
            .k = fused::data<T>(k) + b * k.stride(0) + group * k.stride(1),
            .v = fused::data<T>(v) + b * v.stride(0) + group * v.stride(1),
            .out = fused::data<T>(result.out) + (b * tokens * heads + h) * width,
            .log_sum = result.log_sum.data_ptr<float>() + item * tokens,
            .q_stride = q.stride(2),
            .k_stride = k.stride(2),
            .v_stride = v.stride(2),
            .out_stride = heads * width,
            .before = keys - tokens,
            .tokens = tokens,
            .width = width,
            .scale = static_cast<float>(scale)});
      }
    });
  });
  return result;
}

struct Saved {
  const at::Tensor &q, &k, &v, &out, &log_sum;
};

variable_list attention_gradients(const Saved& s, const at::Tensor& gradient, double scale) {
  const auto batch = s.q.size(0), heads = s.q.size(1), tokens = s.q.size(2), width = s.q.size(3);
  const auto groups = s.k.size(1), keys = s.k.size(2), shared = heads / groups;
  auto dq = at::empty(s.q.sizes(), s.q.options()), dk = at::empty(s.k.sizes(), s.k.options());
  // In the order of the projection that the values come from.
  auto dv = at::empty({batch, keys, groups, width}, s.v.options());
  fused::dispatch(s.q.scalar_type(), [&]<typename T>() {
    fused::parallel(batch * groups, shared * tokens * keys, [&](int64_t begin, int64_t end) {
      for (auto item = begin; item < end; ++item) {
        const auto b = item / groups, group = item % groups;
        const auto head = b * heads + group * shared;
        const auto at = (b * tokens * heads + group * shared) * width;
        kernels::causal_attention_gradient(kernels::CausalGroupGradient<T>{
            .q = fused::data<T>(s.q) + b * s.q.stride(0) + group * shared * s.q.stride(1),
            .k = fused::data<T>(s.k) + b * s.k.stride(0) + group * s.k.stride(1),
            .v = fused::data<T>(s.v) + b * s.v.stride(0) + group * s.v.stride(1),
            .out = fused::data<T>(s.out) + at,
            .gradient = fused::data<T>(gradient) + at,
            .log_sum = s.log_sum.data_ptr<float>() + head * tokens,
            .q_gradient = fused::data<T>(dq) + head * tokens * width,
            .k_gradient = fused::data<T>(dk) + item * keys * width,
            .v_gradient = fused::data<T>(dv) + (b * keys * groups + group) * width,
            .q_stride = s.q.stride(2),
            .k_stride = s.k.stride(2),
            .v_stride = s.v.stride(2),
            .out_stride = heads * width,
            .v_gradient_stride = groups * width,
            .q_head_stride = s.q.stride(1),
            .out_head_stride = width,
            .heads = shared,
            .before = keys - tokens,
            .tokens = tokens,
            .width = width,
            .scale = static_cast<float>(scale)});
      }
    });
  });
  return {dq, dk, dv.transpose(1, 2), at::Tensor()};
}

struct CausalAttention : torch::autograd::Function<CausalAttention> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& q, const at::Tensor& k,
                            const at::Tensor& v, double scale) {
    const auto result = attended(q, k, v, scale);
    context->save_for_backward({q, k, v, result.out, result.log_sum});
    context->saved_data["scale"] = scale;
    return result.out;
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    fused::refuse_second_derivative();
    const auto saved = context->get_saved_variables();
    return attention_gradients({saved[0], saved[1], saved[2], saved[3], saved[4]},
                               gradients[0].contiguous(), context->saved_data["scale"].toDouble());
  }
};

}  // namespace

bool serves_causal_attention(const at::Tensor& query, const at::Tensor& key,
                             const at::Tensor& value) {
  const auto tokens = query.size(2);
  return fused::supported({&query, &key, &value}) && query.size(3) % 2 == 0 && tokens > 1 &&
         tokens <= key.size(2) && key.size(2) <= kMostTokens &&
         product_dtype(query.scalar_type(), tokens) == query.scalar_type();
}

at::Tensor causal_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                            double scale) {
  const auto q = with_dense_rows(query), k = with_dense_rows(key), v = with_dense_rows(value);
  const bool learns =
      at::GradMode::is_enabled() && (q.requires_grad() || k.requires_grad() || v.requires_grad());
  const auto out = learns ? CausalAttention::apply(q, k, v, scale) : attended(q, k, v, scale).out;
  return out.flatten(2);
}

}  // namespace peft
