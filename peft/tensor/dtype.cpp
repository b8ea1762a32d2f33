#include "peft/tensor/dtype.h"

#include <fmt/format.h>

#include <array>

#include "peft/base/error.h"
#include "peft/base/text.h"

namespace peft {
namespace {

struct Row {
  at::ScalarType dtype;
  std::string_view torch_name;
  std::string_view safetensors;  // empty: cannot be stored
};

constexpr std::array kRows{
    Row{at::kFloat, "float32", "F32"},
    Row{at::kBFloat16, "bfloat16", "BF16"},
    Row{at::kHalf, "float16", "F16"},
    Row{at::kDouble, "float64", "F64"},
    Row{at::kLong, "int64", "I64"},
    Row{at::kInt, "int32", "I32"},
    Row{at::kShort, "int16", "I16"},
    Row{at::kChar, "int8", "I8"},
    Row{at::kByte, "uint8", "U8"},
    Row{at::kBool, "bool", "BOOL"},
    Row{at::kUInt64, "uint64", "U64"},
    Row{at::kUInt32, "uint32", "U32"},
    Row{at::kUInt16, "uint16", "U16"},
    Row{at::kFloat8_e4m3fn, "float8_e4m3fn", "F8_E4M3"},
    Row{at::kFloat8_e5m2, "float8_e5m2", "F8_E5M2"},
    Row{at::kFloat8_e4m3fnuz, "float8_e4m3fnuz", "F8_E4M3FNUZ"},
    Row{at::kFloat8_e5m2fnuz, "float8_e5m2fnuz", "F8_E5M2FNUZ"},
    Row{at::kFloat8_e8m0fnu, "float8_e8m0fnu", "F8_E8M0"},
    Row{at::kComplexFloat, "complex64", "C64"},
    Row{at::kComplexDouble, "complex128", ""},
    Row{at::kComplexHalf, "complex32", ""},
};

struct Alias {
  std::string_view name;
  at::ScalarType dtype;
};

constexpr std::array kAliases{
    Alias{"half", at::kHalf}, Alias{"float", at::kFloat},   Alias{"double", at::kDouble},
    Alias{"fp16", at::kHalf}, Alias{"bf16", at::kBFloat16}, Alias{"fp32", at::kFloat},
    Alias{"long", at::kLong}, Alias{"int", at::kInt},
};

}  // namespace

std::optional<at::ScalarType> dtype_from_safetensors(std::string_view word) {
  for (const Row& row : kRows) {
    if (!word.empty() && row.safetensors == word) return row.dtype;
  }
  return std::nullopt;
}

std::string_view safetensors_word(at::ScalarType dtype) {
  for (const Row& row : kRows) {
    if (row.dtype == dtype && !row.safetensors.empty()) return row.safetensors;
  }
  throw UnsupportedError(fmt::format(
      "safetensors: tensors of dtype {} cannot be stored. Convert them to a common dtype first.",
      dtype_name(dtype)));
}

std::optional<at::ScalarType> find_dtype(std::string_view name) {
  constexpr std::string_view kPrefix = "torch.";
  if (name.substr(0, kPrefix.size()) == kPrefix) name.remove_prefix(kPrefix.size());
  for (const Row& row : kRows) {
    if (row.torch_name == name) return row.dtype;
  }
  for (const Alias& alias : kAliases) {
    if (alias.name == name) return alias.dtype;
  }
  return std::nullopt;
}

at::ScalarType parse_dtype(std::string_view name, std::string_view where) {
  if (const auto dtype = find_dtype(name)) return *dtype;
  throw ConfigError(
      fmt::format("{}: expected a dtype such as 'float32', 'bfloat16' or 'float16', got {}.", where,
                  quote(name)));
}

std::string_view dtype_name(at::ScalarType dtype) {
  for (const Row& row : kRows) {
    if (row.dtype == dtype) return row.torch_name;
  }
  return at::toString(dtype);
}

}  // namespace peft
