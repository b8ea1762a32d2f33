#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string_view>

namespace peft {

/// "BF16" -> at::kBFloat16; nullopt for words that no ATen dtype stands for.
/// Source: _TYPES in safetensors/torch.py.
std::optional<at::ScalarType> dtype_from_safetensors(std::string_view word);

/// at::kBFloat16 -> "BF16".  Throws: UnsupportedError.
std::string_view safetensors_word(at::ScalarType dtype);

/// "bfloat16" or "torch.bfloat16" (also "half", "float", "bf16", "fp16", "fp32") -> at::kBFloat16.
std::optional<at::ScalarType> find_dtype(std::string_view name);

/// find_dtype or an error that lists the usual names; `where` is the setting's name.
/// Throws: ConfigError.
at::ScalarType parse_dtype(std::string_view name, std::string_view where);

/// at::kBFloat16 -> "bfloat16": PyTorch's name without "torch.".
std::string_view dtype_name(at::ScalarType dtype);

}  // namespace peft
