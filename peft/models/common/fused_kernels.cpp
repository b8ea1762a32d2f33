#include "peft/models/common/fused_kernels.h"

#include "peft/tensor/vector_math_internal.h"

namespace peft::kernels {
namespace {

template <typename T>
PEFT_INLINE float sum_of_squares(const T* x, int64_t count) {
  float lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int64_t j = 0; j < kLanes; ++j) lanes[j] += load(x[i + j]) * load(x[i + j]);
  }
  for (; i < count; ++i) lanes[0] += load(x[i]) * load(x[i]);
  return total(lanes);
}

template <typename T>
PEFT_INLINE void rms_norm_rows(const RmsNormRows<T>& r) {
  for (int64_t row = 0; row < r.rows; ++row) {
    const T* __restrict x = r.x + row * r.width;
    if (r.delta != nullptr) {
      const T* __restrict delta = r.delta + row * r.width;
      T* __restrict sum = r.sum + row * r.width;
      for (int64_t i = 0; i < r.width; ++i) store(sum[i], load(x[i]) + load(delta[i]));
      x = sum;
    }
    const auto mean = sum_of_squares(x, r.width) / static_cast<float>(r.width);
    const float scale = 1.0F / std::sqrt(mean + static_cast<float>(r.eps));
    T* __restrict y = r.y + row * r.width;
    for (int64_t i = 0; i < r.width; ++i) {
      store(y[i], load(r.weight[i]) * rounded(load(x[i]) * scale, x));
    }
    r.scale[row] = scale;
  }
}

// dx = s (g w) - x s³ / D Σ g w x, s = 1 / rms.
template <typename T>
PEFT_INLINE void rms_norm_gradient_rows(const RmsNormGradientRows<T>& r) {
  for (int64_t row = 0; row < r.rows; ++row) {
    const T* __restrict g = r.gradient + row * r.width;
    const T* __restrict x = r.x + row * r.width;
    const T* __restrict w = r.weight;
    T* __restrict out = r.out + row * r.width;
    float lanes[kLanes] = {};
    int64_t i = 0;
    for (; i + kLanes <= r.width; i += kLanes) {
      for (int64_t j = 0; j < kLanes; ++j) {
        lanes[j] += load(g[i + j]) * load(w[i + j]) * load(x[i + j]);
      }
    }
    for (; i < r.width; ++i) lanes[0] += load(g[i]) * load(w[i]) * load(x[i]);
    const float s = r.scale[row];
    const float along = s * s * s * total(lanes) / static_cast<float>(r.width);
    if (r.residual != nullptr) {
      const T* __restrict past = r.residual + row * r.width;
      for (i = 0; i < r.width; ++i) {
        store(out[i], load(past[i]) + s * load(g[i]) * load(w[i]) - along * load(x[i]));
      }
    } else {
      for (i = 0; i < r.width; ++i) {
        store(out[i], s * load(g[i]) * load(w[i]) - along * load(x[i]));
      }
    }
  }
}

template <typename T>
PEFT_INLINE void swiglu_range(const Swiglu<T>& r) {
  const T* __restrict gate = r.gate;
  const T* __restrict up = r.up;
  T* __restrict out = r.out;
  for (int64_t i = 0; i < r.count; ++i) {
    const float g = load(gate[i]);
    const float silu = g / (1.0F + exponential(-g));
    store(out[i], rounded(silu, out) * load(up[i]));
  }
}

template <typename T>
PEFT_INLINE void swiglu_gradient_range(const SwigluGradient<T>& r) {
  const T* __restrict gradient = r.gradient;
  const T* __restrict gate = r.gate;
  const T* __restrict up = r.up;
  T* __restrict gate_gradient = r.gate_gradient;
  T* __restrict up_gradient = r.up_gradient;
  for (int64_t i = 0; i < r.count; ++i) {
    const float g = load(gate[i]), d = load(gradient[i]);
    const float sigmoid = 1.0F / (1.0F + exponential(-g));
    store(up_gradient[i], d * g * sigmoid);
    store(gate_gradient[i], d * load(up[i]) * sigmoid * (1.0F + g * (1.0F - sigmoid)));
  }
}

template <typename T>
PEFT_INLINE void rotate_heads(const RotaryHeads<T>& r) {
  const auto half = r.width / 2;
  const float* __restrict c = r.cos;
  const float* __restrict s = r.sin;
  for (int64_t h = 0; h < r.heads; ++h) {
    const T* __restrict first = r.x + h * r.x_stride;
    const T* __restrict second = first + half;
    T* __restrict out_first = r.out + h * r.out_stride;
    T* __restrict out_second = out_first + half;
    for (int64_t i = 0; i < half; ++i) {
      const float a = load(first[i]), b = load(second[i]);
      const float cos = rounded(c[i], first), sin = rounded(r.direction * s[i], first);
      store(out_first[i], rounded(a * cos, first) - rounded(b * sin, first));
      store(out_second[i], rounded(b * cos, first) + rounded(a * sin, first));
    }
  }
}

template <typename T>
PEFT_INLINE float largest(const T* row, int64_t count) {
  float lanes[kLanes];
  for (auto& lane : lanes) lane = -INFINITY;
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int64_t j = 0; j < kLanes; ++j) {
      const float x = load(row[i + j]);
      lanes[j] = lanes[j] > x ? lanes[j] : x;
    }
  }
  for (; i < count; ++i) lanes[0] = std::max(lanes[0], load(row[i]));
  return *std::max_element(lanes, lanes + kLanes);
}

template <typename T>
PEFT_INLINE float sum_of_powers(const T* row, int64_t count, float top) {
  // A long row is summed in pieces, so that small terms are not lost against a large sum.
  constexpr int64_t kPiece = 4096;
  double sum = 0;
  for (int64_t begin = 0; begin < count; begin += kPiece) {
    const auto end = std::min(count, begin + kPiece);
    float lanes[kLanes] = {};
    int64_t i = begin;
    for (; i + kLanes <= end; i += kLanes) {
      for (int64_t j = 0; j < kLanes; ++j) lanes[j] += exponential(load(row[i + j]) - top);
    }
    for (; i < end; ++i) lanes[0] += exponential(load(row[i]) - top);
    sum += static_cast<double>(total(lanes));
  }
  return static_cast<float>(sum);
}

template <typename T>
PEFT_INLINE double cross_entropy(const T* row, int64_t count, int64_t label, float& shift) {
  const float top = largest(row, count);
  shift = top + std::log(sum_of_powers(row, count, top));
  return static_cast<double>(shift) - static_cast<double>(load(row[label]));
}

template <typename T>
PEFT_INLINE double cross_entropy_gradient(T* row, int64_t count, int64_t label) {
  float shift = 0;
  const double loss = cross_entropy(row, count, label, shift);
  for (int64_t i = 0; i < count; ++i) store(row[i], exponential(load(row[i]) - shift));
  store(row[label], static_cast<float>(std::expm1(-loss)));
  return loss;
}

}  // namespace

PEFT_CLONES void rms_norm(const RmsNormRows<float>& rows) { rms_norm_rows(rows); }
PEFT_CLONES void rms_norm(const RmsNormRows<Bfloat16>& rows) { rms_norm_rows(rows); }
PEFT_CLONES void rms_norm_gradient(const RmsNormGradientRows<float>& rows) {
  rms_norm_gradient_rows(rows);
}
PEFT_CLONES void rms_norm_gradient(const RmsNormGradientRows<Bfloat16>& rows) {
  rms_norm_gradient_rows(rows);
}
PEFT_CLONES void swiglu(const Swiglu<float>& range) { swiglu_range(range); }
PEFT_CLONES void swiglu(const Swiglu<Bfloat16>& range) { swiglu_range(range); }
PEFT_CLONES void swiglu_gradient(const SwigluGradient<float>& range) {
  swiglu_gradient_range(range);
}
PEFT_CLONES void swiglu_gradient(const SwigluGradient<Bfloat16>& range) {
  swiglu_gradient_range(range);
}
PEFT_CLONES void rotate(const RotaryHeads<float>& heads) { rotate_heads(heads); }
PEFT_CLONES void rotate(const RotaryHeads<Bfloat16>& heads) { rotate_heads(heads); }
PEFT_CLONES double cross_entropy_row(float* row, int64_t count, int64_t label) {
  return cross_entropy_gradient(row, count, label);
}
PEFT_CLONES double cross_entropy_row(Bfloat16* row, int64_t count, int64_t label) {
  return cross_entropy_gradient(row, count, label);
}
PEFT_CLONES double cross_entropy_value(const float* row, int64_t count, int64_t label) {
  float shift = 0;
  return cross_entropy(row, count, label, shift);
}
PEFT_CLONES double cross_entropy_value(const Bfloat16* row, int64_t count, int64_t label) {
  float shift = 0;
  return cross_entropy(row, count, label, shift);
}

}  // namespace peft::kernels
