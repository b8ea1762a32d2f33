#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>

#include "peft/formats/gguf_types.h"

namespace peft::formats {

/// Unpacks rows of a GGUF tensor straight into `out` [rows, columns] (contiguous, any floating
/// dtype) on all of ATen's threads.
///   in     the tensor's bytes, row after row
///   heads  number of attention heads whose halves llama.cpp has interleaved row by row, put in
///   order
///          on the way; 0: rows stay in order
/// Source: LlamaTensorProcessor in transformers/modeling_gguf_pytorch_utils.py.
void unpack_rows(const GgufType& type, const std::byte* in, int64_t heads, const at::Tensor& out);

}  // namespace peft::formats
