#pragma once

#include <cstdint>

#include "peft/tensor/bfloat16_bits.h"

/// Elementwise loops over plain memory, compiled for several instruction sets of which the
/// processor's best is taken at run time. Each works on one range, so that callers decide about
/// threads. Half precision numbers are passed as their bits; arithmetic is in float32 and each
/// result that Python rounds to the tensor's dtype is rounded here too.
namespace peft::kernels {

/// Rows of an RMS norm of width `width`; `scale` has one 1 / rms for each row. `delta`, where not
/// null, is added to x first and the sum is stored in `sum`.
template <typename T>
struct RmsNormRows {
  const T* x = nullptr;
  const T* delta = nullptr;
  const T* weight = nullptr;
  T* sum = nullptr;
  T* y = nullptr;
  float* scale = nullptr;
  int64_t rows = 0, width = 0;
  double eps = 0;
};
void rms_norm(const RmsNormRows<float>& rows);
void rms_norm(const RmsNormRows<Bfloat16>& rows);

/// Gradient of x; `residual`, where not null, is the gradient that reaches x past the norm.
template <typename T>
struct RmsNormGradientRows {
  const T* gradient = nullptr;
  const T* x = nullptr;
  const T* weight = nullptr;
  const float* scale = nullptr;
  const T* residual = nullptr;
  T* out = nullptr;
  int64_t rows = 0, width = 0;
};
void rms_norm_gradient(const RmsNormGradientRows<float>& rows);
void rms_norm_gradient(const RmsNormGradientRows<Bfloat16>& rows);

/// out = silu(gate) * up for `count` numbers.
template <typename T>
struct Swiglu {
  const T* gate = nullptr;
  const T* up = nullptr;
  T* out = nullptr;
  int64_t count = 0;
};
void swiglu(const Swiglu<float>& range);
void swiglu(const Swiglu<Bfloat16>& range);

template <typename T>
struct SwigluGradient {
  const T* gradient = nullptr;
  const T* gate = nullptr;
  const T* up = nullptr;
  T* gate_gradient = nullptr;
  T* up_gradient = nullptr;
  int64_t count = 0;
};
void swiglu_gradient(const SwigluGradient<float>& range);
void swiglu_gradient(const SwigluGradient<Bfloat16>& range);

/// Rotates `heads` heads of one token: out_h = x_h turned by the angles [width / 2]; `direction` -1
/// turns back. Strides count numbers between heads.
template <typename T>
struct RotaryHeads {
  const T* x = nullptr;
  T* out = nullptr;
  const float* cos = nullptr;
  const float* sin = nullptr;
  int64_t heads = 0, width = 0, x_stride = 0, out_stride = 0;
  float direction = 1;
};
void rotate(const RotaryHeads<float>& heads);
void rotate(const RotaryHeads<Bfloat16>& heads);

/// One row of logits becomes the gradient of -log softmax(row)[label], in place.
/// Returns -log softmax(row)[label].
double cross_entropy_row(float* row, int64_t count, int64_t label);
double cross_entropy_row(Bfloat16* row, int64_t count, int64_t label);

/// The same value without a gradient; leaves the row alone.
double cross_entropy_value(const float* row, int64_t count, int64_t label);
double cross_entropy_value(const Bfloat16* row, int64_t count, int64_t label);

}  // namespace peft::kernels
