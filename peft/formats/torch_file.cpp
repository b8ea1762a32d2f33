#include "peft/formats/torch_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <optional>
#include <set>

#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/formats/bytes.h"
#include "peft/formats/pickle_reader.h"
#include "peft/formats/safetensors_header.h"
#include "peft/formats/zip_directory.h"

namespace peft::formats {
namespace {

using Kind = PickleValue::Kind;

constexpr size_t kMaxTensorDimensions = 16;

struct TorchType {
  std::string_view word, storage, untyped;
};
// _new_dtypes of torch/storage.py have no storage class of their own.
constexpr std::array kTorchTypes{
    TorchType{"F32", "FloatStorage", ""},
    TorchType{"F16", "HalfStorage", ""},
    TorchType{"BF16", "BFloat16Storage", ""},
    TorchType{"F64", "DoubleStorage", ""},
    TorchType{"I64", "LongStorage", ""},
    TorchType{"I32", "IntStorage", ""},
    TorchType{"I16", "ShortStorage", ""},
    TorchType{"I8", "CharStorage", ""},
    TorchType{"U8", "ByteStorage", ""},
    TorchType{"BOOL", "BoolStorage", ""},
    TorchType{"C64", "ComplexFloatStorage", ""},
    TorchType{"F8_E4M3", "", "float8_e4m3fn"},
    TorchType{"F8_E5M2", "", "float8_e5m2"},
    TorchType{"F8_E4M3FNUZ", "", "float8_e4m3fnuz"},
    TorchType{"F8_E5M2FNUZ", "", "float8_e5m2fnuz"},
    TorchType{"F8_E8M0", "", "float8_e8m0fnu"},
    TorchType{"U16", "", "uint16"},
    TorchType{"U32", "", "uint32"},
    TorchType{"U64", "", "uint64"},
};

constexpr std::string_view kTensor2 = "torch._utils _rebuild_tensor_v2";
constexpr std::string_view kTensor3 = "torch._utils _rebuild_tensor_v3";
constexpr std::string_view kParameter = "torch._utils _rebuild_parameter";
constexpr std::string_view kUntypedStorage = "torch.storage UntypedStorage";
constexpr std::string_view kTorch = "torch ";

// "torch FloatStorage" -> "F32", and "torch uint16" -> "U16".
std::string_view word_of(std::string_view global, std::string_view TorchType::*column) {
  if (!global.starts_with(kTorch)) return {};
  global.remove_prefix(kTorch.size());
  for (const TorchType& type : kTorchTypes) {
    if (!global.empty() && type.*column == global) return type.word;
  }
  return {};
}

std::vector<std::string> allowed_names() {
  std::vector<std::string> names{"collections OrderedDict", std::string(kTensor2),
                                 std::string(kTensor3), std::string(kParameter),
                                 std::string(kUntypedStorage)};
  for (const TorchType& type : kTorchTypes) {
    names.push_back(std::string(kTorch) +
                    std::string(type.storage.empty() ? type.untyped : type.storage));
  }
  return names;
}

class TorchFileReader {
 public:
  TorchFileReader(std::span<const std::byte> file, std::string_view where)
      : file_(file), where_(where) {}

  std::vector<TorchFileEntry> read() {
    check_kind();
    for (ZipEntry& entry : read_zip_directory(file_, where_)) {
      entries_.emplace(std::move(entry.name), std::pair(entry.begin, entry.end));
    }
    find_prefix();
    check_byte_order();
    const auto names = allowed_names();
    const std::vector<std::string_view> allowed(names.begin(), names.end());
    pickle_ = read_pickle(bytes_of("data.pkl"), where_, allowed);
    if (value(pickle_.root).kind != Kind::kDict) {
      throw UnsupportedError(fmt::format("{}: expected a dictionary of tensors, got {}. {}", where_,
                                         describe(pickle_, pickle_.root), kSaveAgain));
    }
    std::vector<TorchFileEntry> tensors;
    std::set<std::string_view> seen;
    const auto& items = value(pickle_.root).items;
    for (size_t i = 0; i < items.size(); i += 2) {
      if (value(items[i]).kind != Kind::kText) {
        throw FormatError(fmt::format("{}: expected a name, got {}. {}", where_,
                                      describe(pickle_, items[i]), kSaveAgain));
      }
      name_ = value(items[i]).text;
      if (!is_valid_utf8(name_)) fail("expected a name in UTF-8");
      if (!seen.insert(value(items[i]).text).second) fail("the name appears twice");
      tensors.push_back(read_tensor(items[i + 1]));
    }
    return tensors;
  }

 private:
  static constexpr std::string_view kSaveAgain =
      "Save a state dict of tensors alone, best as safetensors.";

  struct Storage {
    std::string_view dtype;  // empty: untyped
    uint64_t begin = 0, bytes = 0;
  };

  void check_kind() const {
    if (file_.size() >= 2 && std::memcmp(file_.data(), "PK", 2) == 0) return;
    if (file_.size() >= 2 && std::to_integer<int>(file_[0]) == 0x80) {
      throw UnsupportedError(
          fmt::format("{}: expected a ZIP archive, got the format before PyTorch 1.6. Load it with "
                      "Python and save the tensors as safetensors.",
                      where_));
    }
    throw FormatError(fmt::format("{}: expected a ZIP archive of torch.save, got other bytes. {}",
                                  where_, kRefetch));
  }

  void find_prefix() {
    for (const auto& [name, range] : entries_) {
      if (name != "data.pkl" && !name.ends_with("/data.pkl")) continue;
      const std::string prefix = name.substr(0, name.size() - std::string("data.pkl").size());
      if (std::count(prefix.begin(), prefix.end(), '/') > 1) continue;
      prefix_ = prefix;
      return;
    }
    throw FormatError(
        fmt::format("{}: expected the entry data.pkl, got none. {}", where_, kRefetch));
  }

  void check_byte_order() const {
    if (!entries_.contains(prefix_ + "byteorder")) return;
    const auto bytes = bytes_of("byteorder");
    const std::string_view order(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (order == "little") return;
    throw UnsupportedError(fmt::format("{}: byteorder: expected 'little', got {}. {}", where_,
                                       quote(order), kSaveAgain));
  }

  std::span<const std::byte> bytes_of(const std::string& name) const {
    const auto [begin, end] = entries_.at(prefix_ + name);
    return file_.subspan(begin, end - begin);
  }

  const PickleValue& value(uint32_t place) const { return pickle_.values[place]; }

  bool is_call(uint32_t place, std::string_view function) const {
    const PickleValue& call = value(place);
    return call.kind == Kind::kCall && value(call.items[0]).text == function;
  }

  // The arguments of a call of the function; `least` of them at least.
  const std::vector<uint32_t>& arguments(uint32_t call, size_t least) const {
    const auto& items = value(value(call).items[1]).items;
    if (items.size() < least)
      fail(fmt::format("expected {} arguments, got {}", least, items.size()));
    return items;
  }

  TorchFileEntry read_tensor(uint32_t place) const {
    if (is_call(place, kParameter)) place = arguments(place, 1)[0];
    const bool untyped = is_call(place, kTensor3);
    if (!untyped && !is_call(place, kTensor2)) {
      throw UnsupportedError(fmt::format("{}: {}: expected a dense tensor, got {}. {}", where_,
                                         quote(name_), describe(pickle_, place), kSaveAgain));
    }
    const auto& parts = arguments(place, untyped ? 7 : 4);
    const Storage storage = read_storage(parts[0]);
    TorchFileEntry entry{.name = std::string(name_),
                         .dtype = std::string(storage.dtype),
                         .shape = numbers(parts[2]),
                         .stride = numbers(parts[3])};
    if (untyped) entry.dtype = word_of(value(parts[6]).text, &TorchType::untyped);
    if (entry.dtype.empty()) fail("expected a storage and a dtype that belong together");
    check_metadata(parts, untyped ? 7 : 6);
    place_in(storage, number(parts[1]), entry);
    return entry;
  }

  // PyTorch marks here tensors whose bytes are not yet conjugated or negated.
  void check_metadata(const std::vector<uint32_t>& parts, size_t place) const {
    if (parts.size() <= place || value(parts[place]).kind == Kind::kNone) return;
    const PickleValue& metadata = value(parts[place]);
    if (metadata.kind == Kind::kDict && metadata.items.empty()) return;
    throw UnsupportedError(
        fmt::format("{}: {}: expected plain numbers, got a lazily conjugated or negated tensor. "
                    "Save tensor.resolve_conj().resolve_neg().",
                    where_, quote(name_)));
  }

  Storage read_storage(uint32_t place) const {
    const PickleValue& persistent = value(place);
    if (persistent.kind != Kind::kPersistent || value(persistent.items[0]).kind != Kind::kTuple) {
      fail("expected a reference to a storage");
    }
    const auto& id = value(persistent.items[0]).items;
    if (id.size() != 5 || value(id[0]).text != "storage" || value(id[1]).kind != Kind::kGlobal ||
        value(id[2]).kind != Kind::kText) {
      fail("expected a reference to a storage");
    }
    Storage storage;
    storage.dtype = word_of(value(id[1]).text, &TorchType::storage);
    if (storage.dtype.empty() && value(id[1]).text != kUntypedStorage) fail("expected a storage");
    const uint64_t bits = storage.dtype.empty() ? 8 : safetensors_bits(storage.dtype);
    const auto bytes = checked_product(number(id[4]), bits / 8);
    const auto found = entries_.find(prefix_ + "data/" + value(id[2]).text);
    if (found == entries_.end()) {
      fail(fmt::format("there is no storage {}", quote(value(id[2]).text)));
    }
    const auto [begin, end] = found->second;
    if (!bytes || *bytes > end - begin) {
      fail(fmt::format("expected a storage of {} elements, got {} bytes", number(id[4]),
                       end - begin));
    }
    storage.begin = begin;
    storage.bytes = *bytes;
    return storage;
  }

  uint64_t number(uint32_t place) const {
    const PickleValue& number = value(place);
    if (number.kind != Kind::kInteger || number.integer < 0) {
      fail("expected a number from 0, got " + describe(pickle_, place));
    }
    return static_cast<uint64_t>(number.integer);
  }

  std::vector<int64_t> numbers(uint32_t place) const {
    const PickleValue& list = value(place);
    if (list.kind != Kind::kTuple || list.items.size() > kMaxTensorDimensions) {
      fail(fmt::format("expected a tuple of at most {} numbers", kMaxTensorDimensions));
    }
    std::vector<int64_t> out;
    for (const uint32_t item : list.items) out.push_back(static_cast<int64_t>(number(item)));
    return out;
  }

  // Strides decide which elements a tensor reaches: the last one must lie in the storage.
  void place_in(const Storage& storage, uint64_t offset, TorchFileEntry& entry) const {
    if (entry.shape.size() != entry.stride.size()) fail("expected a stride for each dimension");
    const uint64_t bytes = safetensors_bits(entry.dtype) / 8;
    const uint64_t elements = storage.bytes / bytes;
    // Lengths of zero count as one: libtorch multiplies the others when it makes strides.
    std::vector<int64_t> lengths = entry.shape;
    std::replace(lengths.begin(), lengths.end(), int64_t{0}, int64_t{1});
    const auto count = element_count(lengths);
    const bool is_empty = lengths != entry.shape;
    if (!count || (!is_empty && *count > elements)) {
      throw UnsupportedError(
          fmt::format("{}: {}: expected at most the {} elements of its storage, got shape {}. A "
                      "tensor that repeats numbers is saved with tensor.contiguous().",
                      where_, quote(name_), elements, shape_text(entry.shape)));
    }
    if (is_empty) {
      entry.begin = entry.end = storage.begin;
      return;
    }
    uint64_t last = offset;
    for (size_t i = 0; i < entry.shape.size() && last < elements; ++i) {
      const auto step = checked_product(static_cast<uint64_t>(entry.shape[i] - 1),
                                        static_cast<uint64_t>(entry.stride[i]));
      last = step && *step < elements ? last + *step : elements;
    }
    if (last >= elements) {
      fail(
          fmt::format("expected a range within the {} elements of its storage, got shape {}, "
                      "stride {} from element {}",
                      elements, shape_text(entry.shape), shape_text(entry.stride), offset));
    }
    entry.begin = storage.begin + offset * bytes;
    entry.end = storage.begin + (last + 1) * bytes;
  }

  [[noreturn]] void fail(std::string_view reason) const {
    throw FormatError(fmt::format("{}: tensor {}: {}. {}", where_, quote(name_), reason, kRefetch));
  }

  std::span<const std::byte> file_;
  std::string_view where_;
  std::map<std::string, std::pair<uint64_t, uint64_t>> entries_ = {};
  std::string prefix_ = {};
  Pickle pickle_ = {};
  std::string_view name_ = {};
};

}  // namespace

std::vector<TorchFileEntry> parse_torch_file(std::span<const std::byte> file,
                                             std::string_view where) {
  return TorchFileReader(file, where).read();
}

std::string_view torch_storage_name(std::string_view dtype) {
  for (const TorchType& type : kTorchTypes) {
    if (type.word == dtype) return type.storage;
  }
  return {};
}

std::string_view torch_untyped_name(std::string_view dtype) {
  for (const TorchType& type : kTorchTypes) {
    if (type.word == dtype) return type.untyped;
  }
  return {};
}

}  // namespace peft::formats
