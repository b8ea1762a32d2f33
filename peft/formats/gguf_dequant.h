#pragma once

#include <cstddef>

namespace peft::formats {

// Each unpacks `blocks` blocks of its GGUF type from little-endian bytes, in the order of
// operations of the reference, so that the results are equal to the last bit. Source: the
// dequantize_blocks functions in gguf/quants.py, ggml-quants.c.

void unpack_f32(const std::byte* in, size_t blocks, float* out);
void unpack_f16(const std::byte* in, size_t blocks, float* out);
void unpack_bf16(const std::byte* in, size_t blocks, float* out);
void unpack_q4_0(const std::byte* in, size_t blocks, float* out);
void unpack_q4_1(const std::byte* in, size_t blocks, float* out);
void unpack_q5_0(const std::byte* in, size_t blocks, float* out);
void unpack_q5_1(const std::byte* in, size_t blocks, float* out);
void unpack_q8_0(const std::byte* in, size_t blocks, float* out);
void unpack_q2_k(const std::byte* in, size_t blocks, float* out);
void unpack_q3_k(const std::byte* in, size_t blocks, float* out);
void unpack_q4_k(const std::byte* in, size_t blocks, float* out);
void unpack_q5_k(const std::byte* in, size_t blocks, float* out);
void unpack_q6_k(const std::byte* in, size_t blocks, float* out);

}  // namespace peft::formats
