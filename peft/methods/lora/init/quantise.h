#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace peft::lora {

/// Numbers of 4 bits in blocks of 64 that share a scale.
struct Nf4Weight {
  at::Tensor codes;                 // [numel] uint8, each 0 to 15: the place in the NF4 table
  at::Tensor absmax;                // [blocks] float32: the largest magnitude of each block
  std::vector<int64_t> shape = {};  // of the weight
};

/// A float32 tensor of any shape in NF4: each number is the nearest of 16 quantiles of the normal
/// distribution, times the block's scale.
/// Source: Dettmers et al., arXiv:2305.14314; quantize_4bit in
/// bitsandbytes/backends/default/ops.py.
Nf4Weight quantise_nf4(const at::Tensor& weight);
/// -> float32 in the weight's shape
at::Tensor dequantise(const Nf4Weight& weight);

/// Whole numbers of 8 bits, one scale a row.
struct Int8Weight {
  at::Tensor codes;      // [O, I] int8
  at::Tensor row_stats;  // [O] float32: the largest magnitude of each row
};

/// A matrix [O, I], rounded to float16 before, as bitsandbytes' Int8Params does.
/// Source: int8_vectorwise_quant in bitsandbytes/backends/default/ops.py.
Int8Weight quantise_int8(const at::Tensor& weight);
/// -> float32 [O, I]
at::Tensor dequantise(const Int8Weight& weight);

}  // namespace peft::lora
