#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace peft::formats {

/// The number, lowest byte first.
inline std::string little_endian(uint64_t number, size_t bytes) {
  std::string out;
  for (size_t i = 0; i < bytes; ++i) out += static_cast<char>(number >> (8 * i) & 0xff);
  return out;
}

/// What a hostile archive says in the directory, where it differs from the truth.
struct ZipLies {
  uint16_t flags = 0, method = 0;
  uint32_t added_size = 0, added_offset = 0, added_count = 0;
};

using ZipFiles = std::vector<std::pair<std::string, std::string>>;

/// An archive of stored files without check sums.
inline std::string zip_bytes(const ZipFiles& files, const ZipLies& lies = {}) {
  std::string out, directory;
  for (const auto& [name, data] : files) {
    const std::string sizes =
        little_endian(data.size() + lies.added_size, 4) + little_endian(data.size(), 4);
    const std::string fields = little_endian(20, 2) + little_endian(lies.flags, 2) +
                               little_endian(lies.method, 2) + std::string(8, '\0') + sizes +
                               little_endian(name.size(), 2) + little_endian(0, 2);
    directory += "PK\1\2" + little_endian(20, 2) + fields + std::string(10, '\0') +
                 little_endian(out.size() + lies.added_offset, 4) + name;
    out += "PK\3\4" + fields + name + data;
  }
  const uint64_t begin = out.size(), count = files.size() + lies.added_count;
  return out + directory + "PK\5\6" + std::string(4, '\0') + little_endian(count, 2) +
         little_endian(count, 2) + little_endian(directory.size(), 4) + little_endian(begin, 4) +
         little_endian(0, 2);
}

inline std::string pickled_text(std::string_view text) {
  return 'X' + little_endian(text.size(), 4) + std::string(text);
}

inline std::string pickled_number(int64_t number) {
  return "\x8a\x08" + little_endian(static_cast<uint64_t>(number), 8);
}

inline std::string pickled_tuple(const std::vector<int64_t>& numbers) {
  std::string out = "(";
  for (const int64_t number : numbers) out += pickled_number(number);
  return out + "t";
}

/// One tensor as torch.save describes it; the defaults are a good one of 24 bytes.
struct PickledTensor {
  std::string type = "ctorch\nFloatStorage\n", key = "0";
  int64_t count = 6, offset = 0;
  std::vector<int64_t> shape = {2, 3}, stride = {3, 1};

  std::string bytes() const {
    return "ctorch._utils\n_rebuild_tensor_v2\n((" + pickled_text("storage") + type +
           pickled_text(key) + pickled_text("cpu") + pickled_number(count) + "tQ" +
           pickled_number(offset) + pickled_tuple(shape) + pickled_tuple(stride) +
           "\x89"
           "ccollections\nOrderedDict\n)RtR";
  }
};

/// The archive of a dictionary {"w": value} and of one storage.
inline std::string torch_file_bytes(const std::string& value,
                                    const std::string& storage = std::string(24, 'x')) {
  return zip_bytes({{"a/data.pkl", "\x80\x02}" + pickled_text("w") + value + "s."},
                    {"a/byteorder", "little"},
                    {"a/data/0", storage}});
}

}  // namespace peft::formats
