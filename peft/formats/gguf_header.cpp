#include "peft/formats/gguf_header.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <unordered_set>

#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/formats/bytes.h"

namespace peft::formats {
namespace {

constexpr uint32_t kString = 8, kList = 9;
constexpr size_t kMaxListDepth = 4;
constexpr uint32_t kMaxGgufDimensions = 4;  // GGML_MAX_DIMS
constexpr uint64_t kMaxName = 65'535;       // the specification's limit for keys
constexpr uint64_t kDefaultAlignment = 32;

/// Bytes of one value of a type of fixed size; 0 for strings, lists and unknown types.
uint64_t fixed_size(uint32_t type) {
  //                                   u8 i8 u16 i16 u32 i32 f32 bool str list u64 i64 f64
  constexpr uint64_t kSizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  return type < std::size(kSizes) ? kSizes[type] : 0;
}

/// Reads on from a position, never past the end.
class Cursor {
 public:
  Cursor(std::span<const std::byte> bytes, std::string_view where) : bytes_(bytes), where_(where) {}

  uint64_t position() const { return position_; }
  uint64_t left() const { return bytes_.size() - position_; }

  std::span<const std::byte> take(uint64_t count, std::string_view what) {
    if (count > left()) {
      throw FormatError(
          fmt::format("{}: {} at byte {}: expected {} bytes, got {} to the end of the file. {}",
                      where_, what, position_, count, left(), kRefetch));
    }
    position_ += count;
    return bytes_.subspan(position_ - count, count);
  }

  template <typename T>
  T number(std::string_view what) {
    T value;
    std::memcpy(&value, take(sizeof value, what).data(), sizeof value);
    return value;
  }

  std::string_view string(std::string_view what, uint64_t limit = UINT64_MAX) {
    const auto length = number<uint64_t>(what);
    if (length > limit) {
      throw FormatError(fmt::format("{}: {} at byte {}: expected at most {} bytes, got {}. {}",
                                    where_, what, position_, limit, length, kRefetch));
    }
    const auto bytes = take(length, what);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  /// A count of things of at least `smallest` bytes each, so that nothing is made for more than
  /// there is room for.
  uint64_t count(uint64_t smallest, std::string_view what) {
    const auto value = number<uint64_t>(what);
    if (value > left() / smallest) {
      throw FormatError(
          fmt::format("{}: {}: expected at most {} in the {} bytes that follow, got {}. {}", where_,
                      what, left() / smallest, left(), value, kRefetch));
    }
    return value;
  }

  /// Steps over one value and checks everything inside it.
  void skip(uint32_t type, std::string_view what, size_t depth = 0) {
    if (const uint64_t size = fixed_size(type); size > 0) {
      take(size, what);
    } else if (type == kString) {
      string(what);
    } else if (type == kList) {
      skip_list(what, depth);
    } else {
      throw FormatError(fmt::format("{}: {}: expected a type from 0 to 12, got {}. {}", where_,
                                    what, type, kRefetch));
    }
  }

 private:
  void skip_list(std::string_view what, size_t depth) {
    if (depth >= kMaxListDepth) {
      throw FormatError(
          fmt::format("{}: {}: lists within lists: expected at most {} levels, got more.", where_,
                      what, kMaxListDepth));
    }
    const auto type = number<uint32_t>(what);
    const uint64_t size = fixed_size(type);
    // A string takes 8 bytes at least, a list 12.
    const uint64_t entries = count(size > 0 ? size : type == kList ? 12 : 8, what);
    if (size > 0) {
      take(entries * size, what);
      return;
    }
    for (uint64_t i = 0; i < entries; ++i) skip(type, what, depth + 1);
  }

  std::span<const std::byte> bytes_;
  std::string_view where_;
  uint64_t position_ = 0;
};

/// Turns bytes that skip() has checked into JSON.
Json to_json(Cursor& cursor, uint32_t type) {
  switch (type) {
    case 0:
      return cursor.number<uint8_t>("value");
    case 1:
      return cursor.number<int8_t>("value");
    case 2:
      return cursor.number<uint16_t>("value");
    case 3:
      return cursor.number<int16_t>("value");
    case 4:
      return cursor.number<uint32_t>("value");
    case 5:
      return cursor.number<int32_t>("value");
    case 6:
      return static_cast<double>(cursor.number<float>("value"));
    case 7:
      return cursor.number<uint8_t>("value") != 0;
    case kString:
      return std::string(cursor.string("value"));
    case 10:
      return cursor.number<uint64_t>("value");
    case 11:
      return cursor.number<int64_t>("value");
    case 12:
      return cursor.number<double>("value");
    default:
      break;
  }
  const auto inner = cursor.number<uint32_t>("list");
  const auto length = cursor.number<uint64_t>("list");
  Json list = Json::array();
  auto& items = list.get_ref<Json::array_t&>();
  items.reserve(length);
  for (uint64_t i = 0; i < length; ++i) items.push_back(to_json(cursor, inner));
  return list;
}

}  // namespace

class GgufReader {
 public:
  GgufReader(std::span<const std::byte> file, std::string_view where)
      : file_(file), where_(where), cursor_(file, where) {}

  GgufHeader read() {
    read_start();
    const auto tensors = cursor_.count(8 + 4 + 4 + 8, "number of tensors");
    const auto values = cursor_.count(8 + 4 + 1, "number of metadata values");
    for (uint64_t i = 0; i < values; ++i) read_value();
    const uint64_t alignment = read_alignment();
    std::unordered_set<std::string_view> names;
    for (uint64_t i = 0; i < tensors; ++i) {
      GgufTensor tensor = read_tensor(alignment);
      header_.tensors_.push_back(std::move(tensor));
    }
    for (const GgufTensor& tensor : header_.tensors_) {
      if (!names.insert(tensor.name).second) fail(tensor.name, "the name is there twice");
    }
    place(alignment);
    return std::move(header_);
  }

 private:
  void read_start() {
    const auto magic = cursor_.take(4, "first four bytes");
    if (std::memcmp(magic.data(), "GGUF", 4) != 0) {
      throw FormatError(fmt::format(
          "{}: not a GGUF file: expected the letters 'GGUF' at its start, got {}. Name a "
          "checkpoint folder or a .gguf file.",
          where_, quote({reinterpret_cast<const char*>(magic.data()), 4})));
    }
    header_.version_ = cursor_.number<uint32_t>("version");
    if (header_.version_ == 2 || header_.version_ == 3) return;
    const bool swapped = (header_.version_ & 0xFFFFU) == 0 && header_.version_ != 0;
    const std::string got = swapped ? "a big-endian file" : fmt::format("{}", header_.version_);
    const std::string text = fmt::format(
        "{}: GGUF version: expected 2 or 3 (little-endian), got {}. "
        "Convert the model again with a current llama.cpp.",
        where_, got);
    if (swapped || header_.version_ == 1) throw UnsupportedError(text);
    throw FormatError(text);
  }

  void read_value() {
    GgufMetadata value;
    value.key = cursor_.string("metadata key", kMaxName);
    const std::string what = "metadata " + quote(value.key);
    value.type = cursor_.number<uint32_t>(what);
    const uint64_t begin = cursor_.position();
    cursor_.skip(value.type, what);
    value.bytes = file_.subspan(begin, cursor_.position() - begin);
    if (!header_.places_.try_emplace(value.key, header_.metadata_.size()).second) {
      throw FormatError(
          fmt::format("{}: {} is there twice: expected each key once.", where_, what));
    }
    header_.metadata_.push_back(std::move(value));
  }

  uint64_t read_alignment() const {
    if (!header_.contains("general.alignment")) return kDefaultAlignment;
    const Json value = header_.json("general.alignment");
    const uint64_t alignment = value.is_number_unsigned() ? value.get<uint64_t>() : 0;
    if (!std::has_single_bit(alignment) || alignment > (uint64_t{1} << 30)) {
      throw FormatError(fmt::format("{}: general.alignment: expected a power of two, got {}. {}",
                                    where_, value.is_number() ? value.dump() : "another type",
                                    kRefetch));
    }
    return alignment;
  }

  GgufTensor read_tensor(uint64_t alignment) {
    GgufTensor tensor;
    tensor.name = cursor_.string("tensor name", kMaxName);
    const auto dimensions = cursor_.number<uint32_t>("number of dimensions");
    if (dimensions > kMaxGgufDimensions) {
      fail(tensor.name,
           fmt::format("expected at most {} dimensions, got {}", kMaxGgufDimensions, dimensions));
    }
    for (uint32_t i = 0; i < dimensions; ++i) {
      const auto length = cursor_.number<uint64_t>("shape");
      if (length > uint64_t{INT64_MAX}) fail(tensor.name, "a dimension is too large");
      tensor.shape.insert(tensor.shape.begin(), static_cast<int64_t>(length));
    }
    const auto type = cursor_.number<uint32_t>("tensor type");
    tensor.type = find_gguf_type(type);
    if (tensor.type == nullptr) fail(tensor.name, fmt::format("its type {} is unknown", type));
    tensor.begin = cursor_.number<uint64_t>("tensor offset");
    if (tensor.begin % alignment != 0) {
      fail(tensor.name,
           fmt::format("expected an offset that {} divides, got {}", alignment, tensor.begin));
    }
    tensor.bytes = byte_size(tensor);
    return tensor;
  }

  uint64_t byte_size(const GgufTensor& tensor) const {
    const uint64_t row = tensor.shape.empty() ? 1 : static_cast<uint64_t>(tensor.shape.back());
    if (row % tensor.type->elements != 0) {
      fail(tensor.name, fmt::format("expected rows of a multiple of {} numbers for {}, got {}",
                                    tensor.type->elements, tensor.type->name, row));
    }
    const auto count = element_count(tensor.shape);
    const auto bytes =
        count ? checked_product(*count / tensor.type->elements, tensor.type->bytes) : std::nullopt;
    if (!bytes) fail(tensor.name, fmt::format("the shape {} overflows", shape_text(tensor.shape)));
    return *bytes;
  }

  /// Turns offsets into places in the file and checks them against its size and each other.
  void place(uint64_t alignment) {
    if (header_.tensors_.empty()) return;  // a vocabulary alone
    const uint64_t position = cursor_.position();
    const uint64_t data_begin = position + (alignment - position % alignment) % alignment;
    if (data_begin > file_.size()) {
      fail(header_.tensors_.front().name,
           fmt::format("expected the data to begin at byte {}, got a file of {} bytes", data_begin,
                       file_.size()));
    }
    const uint64_t room = file_.size() - data_begin;
    std::vector<const GgufTensor*> order;
    for (GgufTensor& tensor : header_.tensors_) {
      if (tensor.begin > room || tensor.bytes > room - tensor.begin) {
        fail(tensor.name, fmt::format("expected {} bytes at offset {}, got {} bytes of data in all",
                                      tensor.bytes, tensor.begin, room));
      }
      tensor.begin += data_begin;
      order.push_back(&tensor);
    }
    std::stable_sort(order.begin(), order.end(), [](const GgufTensor* a, const GgufTensor* b) {
      return std::pair(a->begin, a->bytes) < std::pair(b->begin, b->bytes);
    });
    uint64_t end = data_begin;
    for (const GgufTensor* tensor : order) {
      if (tensor->begin < end) {
        fail(tensor->name,
             fmt::format("expected its data at byte {} or later, got {}: tensors overlap", end,
                         tensor->begin));
      }
      if (tensor->begin - end >= alignment) {
        fail(tensor->name,
             fmt::format("expected its data within {} bytes of {}, got {}: there is a hole",
                         alignment, end, tensor->begin));
      }
      end = tensor->begin + tensor->bytes;
    }
  }

  [[noreturn]] void fail(const std::string& tensor, std::string_view reason) const {
    throw FormatError(
        fmt::format("{}: tensor {}: {}. {}", where_, quote(tensor), reason, kRefetch));
  }

  std::span<const std::byte> file_;
  std::string_view where_;
  Cursor cursor_;
  GgufHeader header_;
};

GgufHeader GgufHeader::parse(std::span<const std::byte> file, std::string_view where) {
  return GgufReader(file, where).read();
}

Json GgufHeader::json(std::string_view key) const {
  const auto place = places_.find(std::string(key));
  return place == places_.end() ? Json(nullptr) : json(metadata_[place->second]);
}

Json GgufHeader::json(const GgufMetadata& value) {
  Cursor cursor(value.bytes, value.key);
  return to_json(cursor, value.type);
}

uint64_t GgufHeader::list_length(std::string_view key) const {
  const auto place = places_.find(std::string(key));
  if (place == places_.end() || metadata_[place->second].type != kList) return 0;
  Cursor cursor(metadata_[place->second].bytes, key);
  cursor.number<uint32_t>("list");
  return cursor.number<uint64_t>("list");
}

std::optional<std::string> GgufHeader::list_string(std::string_view key, uint64_t index) const {
  if (index >= list_length(key)) return std::nullopt;
  Cursor cursor(metadata_[places_.at(std::string(key))].bytes, key);
  if (cursor.number<uint32_t>("list") != kString) return std::nullopt;
  cursor.number<uint64_t>("list");
  for (uint64_t i = 0; i < index; ++i) cursor.string("entry");
  return std::string(cursor.string("entry"));
}

}  // namespace peft::formats
