#include "peft/formats/safetensors_writer.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "peft/base/error.h"
#include "peft/base/file.h"
#include "peft/base/json_text.h"
#include "peft/base/text.h"
#include "peft/tensor/dtype.h"

namespace peft::formats {
namespace {

constexpr const char* kMetadata = "__metadata__";

// Tensors are laid out by descending rank of their dtype, then by name: wide types first, which
// keeps every tensor aligned.
int rank_of(std::string_view word) {
  static constexpr std::array<std::string_view, 21> kAscending{
      "BOOL",    "F4",      "F6_E2M3",     "F6_E3M2",     "U8",  "I8",  "F8_E5M2",
      "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "I16", "U16", "F16",
      "BF16",    "I32",     "U32",         "F32",         "C64", "F64", "I64"};
  const auto place = std::find(kAscending.begin(), kAscending.end(), word);
  return static_cast<int>(place - kAscending.begin());
}

void check_names(const std::filesystem::path& path, const StateDict& tensors) {
  for (const auto& [name, tensor] : tensors) {
    if (is_valid_utf8(name) && name != kMetadata) continue;
    throw ConfigError(
        fmt::format("{}: tensor {}: expected a name in UTF-8 other than {}. Rename the tensor.",
                    path.string(), quote(name), kMetadata));
  }
}

std::vector<StateDict::Entry> in_file_order(const StateDict& tensors) {
  std::vector<StateDict::Entry> entries(tensors.begin(), tensors.end());
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    const int rank_a = rank_of(safetensors_word(a.second.scalar_type()));
    const int rank_b = rank_of(safetensors_word(b.second.scalar_type()));
    return rank_a != rank_b ? rank_a > rank_b : a.first < b.first;
  });
  return entries;
}

std::string header_text(const std::vector<StateDict::Entry>& entries, const Metadata& metadata) {
  Json header = Json::object();
  for (const auto& [key, value] : metadata) header[kMetadata][key] = value;
  uint64_t offset = 0;
  // Members of a parsed or built ordered_json are found by scanning; appending keeps this linear.
  auto& members = header.get_ref<Json::object_t&>();
  for (const auto& [name, tensor] : entries) {
    const uint64_t end = offset + tensor.numel() * tensor.element_size();
    Json entry = Json::object();
    entry["dtype"] = safetensors_word(tensor.scalar_type());
    entry["shape"] = tensor.sizes().vec();
    entry["data_offsets"] = {offset, end};
    members.emplace_back(name, std::move(entry));
    offset = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return text;
}

at::Tensor written_value(const std::string& name, const at::Tensor& tensor,
                         const ValueOf& value_of) {
  if (!value_of) return tensor;
  at::Tensor value = value_of(name, tensor);
  if (value.sizes() == tensor.sizes() && value.scalar_type() == tensor.scalar_type()) return value;
  throw ConfigError(fmt::format("tensor {}: expected a value of its own shape and type, got {} {}.",
                                quote(name), dtype_name(value.scalar_type()),
                                fmt::join(value.sizes(), "x")));
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, const StateDict& tensors,
                       const Metadata& metadata, const ValueOf& value_of) {
  check_names(path, tensors);
  const auto entries = in_file_order(tensors);
  const std::string header = header_text(entries, metadata);
  const uint64_t length = header.size();
  std::array<std::byte, sizeof length> length_bytes;
  std::memcpy(length_bytes.data(), &length, sizeof length);

  AtomicFile file(path);
  file.write(length_bytes);
  file.write(std::string_view(header));
  for (const auto& [name, tensor] : entries) {
    const at::Tensor value = written_value(name, tensor, value_of);
    const at::Tensor plain = value.detach().to(at::kCPU).contiguous();
    file.write({static_cast<const std::byte*>(plain.const_data_ptr()), plain.nbytes()});
  }
  file.commit();
}

}  // namespace peft::formats
