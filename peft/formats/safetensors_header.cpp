#include "peft/formats/safetensors_header.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "peft/base/error.h"
#include "peft/base/json_text.h"
#include "peft/base/text.h"
#include "peft/formats/bytes.h"

namespace peft::formats {
namespace {

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kMaxHeader = 100'000'000;  // the limit of the reference implementation
constexpr size_t kMaxDimensions = 64;         // ATen's own limit is of that order

struct DtypeBits {
  std::string_view word;
  uint32_t bits;
};
constexpr std::array kDtypes{
    DtypeBits{"F32", 32},        DtypeBits{"BF16", 16},   DtypeBits{"F16", 16},
    DtypeBits{"I64", 64},        DtypeBits{"I32", 32},    DtypeBits{"U8", 8},
    DtypeBits{"I8", 8},          DtypeBits{"BOOL", 8},    DtypeBits{"F64", 64},
    DtypeBits{"I16", 16},        DtypeBits{"U16", 16},    DtypeBits{"U32", 32},
    DtypeBits{"U64", 64},        DtypeBits{"F8_E4M3", 8}, DtypeBits{"F8_E5M2", 8},
    DtypeBits{"F8_E8M0", 8},     DtypeBits{"C64", 64},    DtypeBits{"F8_E4M3FNUZ", 8},
    DtypeBits{"F8_E5M2FNUZ", 8}, DtypeBits{"F6_E2M3", 6}, DtypeBits{"F6_E3M2", 6},
    DtypeBits{"F4", 4},
};

class Reader {
 public:
  Reader(std::span<const std::byte> file, std::string_view where) : file_(file), where_(where) {}

  SafetensorsHeader read() {
    const Json header = read_json();
    SafetensorsHeader out;
    for (const auto& [name, value] : header.items()) {
      if (name == "__metadata__") {
        read_metadata(value, out);
      } else {
        out.tensors.push_back(read_entry(name, value));
      }
    }
    check_cover(out.tensors);
    return out;
  }

 private:
  Json read_json() {
    if (file_.size() < kLengthBytes) {
      throw FormatError(
          fmt::format("{}: too short for safetensors: expected at least 8 bytes, got {}. {}",
                      where_, file_.size(), kRefetch));
    }
    uint64_t length = 0;
    std::memcpy(&length, file_.data(), sizeof length);
    if constexpr (std::endian::native == std::endian::big) length = __builtin_bswap64(length);
    if (length > kMaxHeader) {
      throw FormatError(
          fmt::format("{}: the header is too long: expected at most {} bytes, got {}. "
                      "This may not be a safetensors file.",
                      where_, kMaxHeader, length));
    }
    if (length > file_.size() - kLengthBytes) {
      throw FormatError(
          fmt::format("{}: the header is cut off: expected {} bytes after the first 8, got {}. {}",
                      where_, length, file_.size() - kLengthBytes, kRefetch));
    }
    data_begin_ = kLengthBytes + length;
    const std::string_view text(reinterpret_cast<const char*>(file_.data()) + kLengthBytes, length);
    const std::string header_where = fmt::format("{}: header", where_);
    // Object, tensor, list: three levels are all that a header has.
    Json json = parse_json(text, header_where, {.max_depth = 4, .reject_duplicate_keys = true});
    if (!json.is_object()) {
      throw FormatError(
          fmt::format("{}: expected a JSON object, got another value.", header_where));
    }
    return json;
  }

  void read_metadata(const Json& value, SafetensorsHeader& out) const {
    if (!value.is_object())
      fail("__metadata__", "expected an object of strings, got another value");
    for (const auto& [key, text] : value.items()) {
      if (!text.is_string())
        fail("__metadata__", fmt::format("expected a string for {}", quote(key)));
      out.metadata.emplace_back(key, text.get<std::string>());
    }
  }

  SafetensorsEntry read_entry(const std::string& name, const Json& value) const {
    if (!value.is_object()) fail(name, "expected an object with dtype, shape and data_offsets");
    SafetensorsEntry entry;
    entry.name = name;
    const auto dtype = value.find("dtype");
    if (dtype == value.end() || !dtype->is_string()) fail(name, "expected a dtype, got none");
    entry.dtype = dtype->get<std::string>();
    if (safetensors_bits(entry.dtype) == 0) {
      fail(name,
           fmt::format("expected a known dtype such as F32 or BF16, got {}", quote(entry.dtype)));
    }
    entry.shape = read_shape(name, value);
    const auto offsets = value.find("data_offsets");
    if (offsets == value.end() || !offsets->is_array() || offsets->size() != 2 ||
        !(*offsets)[0].is_number_unsigned() || !(*offsets)[1].is_number_unsigned()) {
      fail(name, "expected data_offsets as two whole numbers");
    }
    check_range(entry, (*offsets)[0].get<uint64_t>(), (*offsets)[1].get<uint64_t>());
    return entry;
  }

  std::vector<int64_t> read_shape(const std::string& name, const Json& value) const {
    const auto shape = value.find("shape");
    if (shape == value.end() || !shape->is_array()) fail(name, "expected a shape, got none");
    if (shape->size() > kMaxDimensions) {
      fail(name,
           fmt::format("expected at most {} dimensions, got {}", kMaxDimensions, shape->size()));
    }
    std::vector<int64_t> out;
    for (const Json& length : *shape) {
      if (!length.is_number_unsigned() || length.get<uint64_t>() > uint64_t{INT64_MAX}) {
        fail(name, "expected a shape of whole numbers");
      }
      out.push_back(length.get<int64_t>());
    }
    return out;
  }

  void check_range(SafetensorsEntry& entry, uint64_t begin, uint64_t end) const {
    const uint64_t data_bytes = file_.size() - data_begin_;
    if (begin > end || end > data_bytes) {
      fail(entry.name, fmt::format("expected a range within the {} bytes of data, got [{}, {})",
                                   data_bytes, begin, end));
    }
    const auto count = element_count(entry.shape);
    const auto bits = count ? checked_product(*count, safetensors_bits(entry.dtype)) : std::nullopt;
    if (!bits || *bits % 8 != 0) {
      fail(
          entry.name,
          fmt::format("the shape {} of {} has no size in bytes: it overflows or ends within a byte",
                      shape_text(entry.shape), entry.dtype));
    }
    if (*bits / 8 != end - begin) {
      fail(entry.name, fmt::format("expected {} bytes for {} {}, got {}", *bits / 8, entry.dtype,
                                   shape_text(entry.shape), end - begin));
    }
    entry.begin = data_begin_ + begin;
    entry.end = data_begin_ + end;
  }

  void check_cover(std::vector<SafetensorsEntry>& tensors) const {
    std::stable_sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) {
      return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
    });
    uint64_t covered = data_begin_;
    for (const SafetensorsEntry& entry : tensors) {
      if (entry.begin != covered) {
        fail(entry.name,
             fmt::format("expected its data at byte {}, got {}: the tensors {}", covered,
                         entry.begin,
                         entry.begin < covered ? "overlap" : "leave a hole between them"));
      }
      covered = entry.end;
    }
    if (covered != file_.size()) {
      throw FormatError(
          fmt::format("{}: wrong size: expected {} bytes as the header says, got {}. {}", where_,
                      covered, file_.size(), kRefetch));
    }
  }

  [[noreturn]] void fail(const std::string& tensor, std::string_view reason) const {
    throw FormatError(
        fmt::format("{}: tensor {}: {}. {}", where_, quote(tensor), reason, kRefetch));
  }

  std::span<const std::byte> file_;
  std::string_view where_;
  uint64_t data_begin_ = 0;
};

}  // namespace

uint32_t safetensors_bits(std::string_view dtype) {
  for (const DtypeBits& row : kDtypes) {
    if (row.word == dtype) return row.bits;
  }
  return 0;
}

SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file,
                                           std::string_view where) {
  return Reader(file, where).read();
}

}  // namespace peft::formats
