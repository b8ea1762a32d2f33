#include "peft/models/common/attention_kernels.h"

#include <cstring>
#include <vector>

#include "peft/tensor/tile_product_internal.h"
#include "peft/tensor/vector_math_internal.h"

namespace peft::kernels {
namespace {

// Queries at a time. Keys are padded to a multiple of it, so that few shapes of products occur:
// libtorch makes machine code for each. Few keys are padded less, as the padding is work too.
constexpr int64_t kBlock = 64;
constexpr int64_t kFewKeys = 128, kKeyStep = 16;

int64_t padded(int64_t keys) {
  const auto step = keys <= kFewKeys ? kKeyStep : kBlock;
  return (keys + step - 1) / step * step;
}

// Rows of numbers with a stride become dense; rows beyond `rows` are zero.
template <typename T>
void copy_rows(const T* in, int64_t stride, int64_t rows, int64_t width, std::vector<T>& out) {
  const auto all = static_cast<int64_t>(out.size()) / width;
  for (int64_t r = 0; r < rows; ++r) {
    std::memcpy(out.data() + r * width, in + r * stride, static_cast<size_t>(width) * sizeof(T));
  }
  std::memset(static_cast<void*>(out.data() + rows * width), 0,
              static_cast<size_t>((all - rows) * width) * sizeof(T));
}

// Row r of the scores [64, keys] sees `first + r + 1` keys; the other places become 0. Scores turn
// into probabilities.
template <typename T>
struct SoftmaxBlock {
  const float* scores = nullptr;
  T* probabilities = nullptr;
  float* log_sum = nullptr;  // [rows]
  int64_t first = 0, rows = 0, keys = 0;
  float scale = 1;
};

template <typename T>
PEFT_INLINE void softmax_block(const SoftmaxBlock<T>& b) {
  for (int64_t r = 0; r < b.rows; ++r) {
    const float* __restrict s = b.scores + r * b.keys;
    T* __restrict p = b.probabilities + r * b.keys;
    const auto visible = b.first + r + 1;
    float lanes[kLanes];
    for (auto& lane : lanes) lane = -INFINITY;
    int64_t i = 0;
    for (; i + kLanes <= visible; i += kLanes) {
      for (int64_t j = 0; j < kLanes; ++j) lanes[j] = lanes[j] > s[i + j] ? lanes[j] : s[i + j];
    }
    for (; i < visible; ++i) lanes[0] = std::max(lanes[0], s[i]);
    const float top = *std::max_element(lanes, lanes + kLanes) * b.scale;
    float sums[kLanes] = {};
    for (i = 0; i + kLanes <= visible; i += kLanes) {
      for (int64_t j = 0; j < kLanes; ++j) sums[j] += exponential(s[i + j] * b.scale - top);
    }
    for (; i < visible; ++i) sums[0] += exponential(s[i] * b.scale - top);
    const float log_sum = top + std::log(total(sums));
    for (i = 0; i < visible; ++i) store(p[i], exponential(s[i] * b.scale - log_sum));
    for (; i < b.keys; ++i) store(p[i], 0.0F);
    b.log_sum[r] = log_sum;
  }
  const auto left = (kBlock - b.rows) * b.keys;
  T* rest = b.probabilities + b.rows * b.keys;
  for (int64_t i = 0; i < left; ++i) store(rest[i], 0.0F);
}
PEFT_CLONES void softmax(const SoftmaxBlock<float>& block) { softmax_block(block); }
PEFT_CLONES void softmax(const SoftmaxBlock<Bfloat16>& block) { softmax_block(block); }

// Scores and the gradients of probabilities, both transposed [keys, 64], become probabilities and
// gradients of scores. Key j is seen by the queries r with j <= first + r, r < rows.
template <typename T>
struct ScoreGradientBlock {
  const float *scores = nullptr, *slopes = nullptr;
  const float *log_sum = nullptr, *along = nullptr;  // [64]; along: Σ out · gradient
  T *probabilities = nullptr, *gradients = nullptr;
  T* packed = nullptr;  // the gradients again, in the order of pack_rows
  int64_t first = 0, rows = 0, keys = 0;
  float scale = 1;
};

PEFT_INLINE void store_pair(float* packed, int64_t r, float first, float second) {
  packed[r] = first;
  packed[kBlock + r] = second;
}
PEFT_INLINE void store_pair(Bfloat16* packed, int64_t r, float first, float second) {
  store(packed[2 * r], first);
  store(packed[2 * r + 1], second);
}

template <typename T>
PEFT_INLINE void score_gradient_block(const ScoreGradientBlock<T>& b) {
  for (int64_t j = 0; j < b.keys; j += 2) {
    float gradients[2][kBlock];
    for (int64_t half = 0; half < 2; ++half) {
      const auto at = (j + half) * kBlock;
      const float* __restrict s = b.scores + at;
      const float* __restrict slope = b.slopes + at;
      const auto hidden = static_cast<int32_t>(std::max<int64_t>(0, j + half - b.first));
      const auto rows = static_cast<int32_t>(b.rows);
      for (int32_t r = 0; r < kBlock; ++r) {
        const float seen = r >= hidden && r < rows ? 1.0F : 0.0F;
        const float p = seen * exponential(s[r] * b.scale - b.log_sum[r]);
        gradients[half][r] = p * (slope[r] - b.along[r]) * b.scale;
        store(b.probabilities[at + r], p);
        store(b.gradients[at + r], gradients[half][r]);
      }
    }
    for (int64_t r = 0; r < kBlock; ++r) {
      store_pair(b.packed + j * kBlock, r, gradients[0][r], gradients[1][r]);
    }
  }
}
PEFT_CLONES void score_gradient(const ScoreGradientBlock<float>& block) {
  score_gradient_block(block);
}
PEFT_CLONES void score_gradient(const ScoreGradientBlock<Bfloat16>& block) {
  score_gradient_block(block);
}

template <typename T>
void store_row(const float* in, int64_t count, T* out) {
  for (int64_t i = 0; i < count; ++i) store(out[i], in[i]);
}

template <typename T>
std::vector<T> zeros(int64_t count) {
  return std::vector<T>(static_cast<size_t>(count));
}

// So many keys, filled up, are read for the queries of a block.
int64_t keys_seen(int64_t before, int64_t first) { return padded(before + first + kBlock); }

template <typename T>
void head_forward(const CausalHead<T>& h) {
  const TileRegisters registers;
  const auto width = h.width, keys_count = h.before + h.tokens, all = padded(keys_count);
  auto dense = zeros<T>(all * width), keys = dense, values = dense;
  copy_rows(h.k, h.k_stride, keys_count, width, dense);
  pack_columns(dense.data(), width, all, width, keys.data());
  copy_rows(h.v, h.v_stride, keys_count, width, dense);
  pack_rows(dense.data(), width, all, width, values.data());
  auto queries = zeros<T>(kBlock * width);
  auto scores = zeros<float>(kBlock * all), out = zeros<float>(kBlock * width);
  auto probabilities = zeros<T>(kBlock * all);
  for (int64_t first = 0; first < h.tokens; first += kBlock) {
    const auto rows = std::min(kBlock, h.tokens - first);
    const auto seen = std::min(all, keys_seen(h.before, first));
    copy_rows(h.q + first * h.q_stride, h.q_stride, rows, width, queries);
    multiply_tile({kBlock, seen, width, width, all, seen}, queries.data(), keys.data(),
                  scores.data());
    softmax(SoftmaxBlock<T>{.scores = scores.data(),
                            .probabilities = probabilities.data(),
                            .log_sum = h.log_sum + first,
                            .first = h.before + first,
                            .rows = rows,
                            .keys = seen,
                            .scale = h.scale});
    multiply_tile({kBlock, width, seen, seen, width, width}, probabilities.data(), values.data(),
                  out.data());
    for (int64_t r = 0; r < rows; ++r) {
      store_row(out.data() + r * width, width, h.out + (first + r) * h.out_stride);
    }
  }
}

// What one block of queries needs of memory, and one key/value head of sums.
template <typename T>
struct GradientScratch {
  GradientScratch(int64_t all, int64_t width)
      : keys(zeros<T>(all * width)),
        values(keys),
        turned_keys(keys),
        queries(zeros<T>(kBlock * width)),
        slopes(queries),
        packed(queries),
        probabilities(zeros<T>(all * kBlock)),
        gradients(probabilities),
        packed_gradients(probabilities),
        scores(zeros<float>(all * kBlock)),
        score_slopes(scores),
        out(zeros<float>(kBlock * width)),
        k_sum(zeros<float>(all * width)),
        v_sum(k_sum) {}

  std::vector<T> keys, values, turned_keys, queries, slopes, packed;
  std::vector<T> probabilities, gradients, packed_gradients;
  std::vector<float> scores, score_slopes, out, k_sum, v_sum;
};

// Adds what queries [first, first + rows) of head g contribute to the sums, and writes their own
// gradient.
template <typename T>
void block_backward(const CausalGroupGradient<T>& c, GradientScratch<T>& m, int64_t g,
                    int64_t first) {
  const auto width = c.width, all = padded(c.before + c.tokens);
  const auto seen = std::min(all, keys_seen(c.before, first));
  const auto rows = std::min(kBlock, c.tokens - first);
  const auto at = g * c.out_head_stride + first * c.out_stride;
  copy_rows(c.q + g * c.q_head_stride + first * c.q_stride, c.q_stride, rows, width, m.queries);
  copy_rows(c.gradient + at, c.out_stride, rows, width, m.slopes);
  float log_sum[kBlock] = {}, along[kBlock] = {};
  for (int64_t r = 0; r < rows; ++r) {
    log_sum[r] = c.log_sum[g * c.tokens + first + r];
    const T* out = c.out + at + r * c.out_stride;
    const T* slope = m.slopes.data() + r * width;
    for (int64_t i = 0; i < width; ++i) along[r] += load(out[i]) * load(slope[i]);
  }
  const TileShape scores{seen, kBlock, width, width, kBlock, kBlock};
  pack_columns(m.queries.data(), width, kBlock, width, m.packed.data());
  multiply_tile(scores, m.keys.data(), m.packed.data(), m.scores.data());
  pack_columns(m.slopes.data(), width, kBlock, width, m.packed.data());
  multiply_tile(scores, m.values.data(), m.packed.data(), m.score_slopes.data());
  score_gradient(ScoreGradientBlock<T>{.scores = m.scores.data(),
                                       .slopes = m.score_slopes.data(),
                                       .log_sum = log_sum,
                                       .along = along,
                                       .probabilities = m.probabilities.data(),
                                       .gradients = m.gradients.data(),
                                       .packed = m.packed_gradients.data(),
                                       .first = c.before + first,
                                       .rows = rows,
                                       .keys = seen,
                                       .scale = c.scale});
  const TileShape sums{seen, width, kBlock, kBlock, width, width, true};
  pack_rows(m.slopes.data(), width, kBlock, width, m.packed.data());
  multiply_tile(sums, m.probabilities.data(), m.packed.data(), m.v_sum.data());
  pack_rows(m.queries.data(), width, kBlock, width, m.packed.data());
  multiply_tile(sums, m.gradients.data(), m.packed.data(), m.k_sum.data());
  multiply_tile({width, kBlock, seen, all, kBlock, kBlock}, m.turned_keys.data(),
                m.packed_gradients.data(), m.out.data());
  T* q_gradient = c.q_gradient + (g * c.tokens + first) * width;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < width; ++i) {
      store(q_gradient[r * width + i], m.out[static_cast<size_t>(i * kBlock + r)]);
    }
  }
}

template <typename T>
void group_backward(const CausalGroupGradient<T>& c) {
  const TileRegisters registers;
  const auto width = c.width, keys = c.before + c.tokens, all = padded(keys);
  GradientScratch<T> scratch(all, width);
  copy_rows(c.k, c.k_stride, keys, width, scratch.keys);
  copy_rows(c.v, c.v_stride, keys, width, scratch.values);
  transpose(scratch.keys.data(), width, all, width, scratch.turned_keys.data());
  for (int64_t g = 0; g < c.heads; ++g) {
    for (int64_t first = 0; first < c.tokens; first += kBlock) {
      block_backward(c, scratch, g, first);
    }
  }
  for (int64_t t = 0; t < keys; ++t) {
    store_row(scratch.k_sum.data() + t * width, width, c.k_gradient + t * width);
    store_row(scratch.v_sum.data() + t * width, width, c.v_gradient + t * c.v_gradient_stride);
  }
}

}  // namespace

void causal_attention(const CausalHead<float>& head) { head_forward(head); }
void causal_attention(const CausalHead<Bfloat16>& head) { head_forward(head); }
void causal_attention_gradient(const CausalGroupGradient<float>& group) { group_backward(group); }
void causal_attention_gradient(const CausalGroupGradient<Bfloat16>& group) {
  group_backward(group);
}

}  // namespace peft::kernels
