#include "peft/formats/zip_directory.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/formats/bytes.h"

namespace peft::formats {
namespace {

constexpr uint32_t kEndSignature = 0x06054b50, kEnd64Signature = 0x06064b50;
constexpr uint32_t kLocatorSignature = 0x07064b50, kEntrySignature = 0x02014b50;
constexpr uint32_t kLocalSignature = 0x04034b50;
constexpr uint64_t kEndBytes = 22, kEnd64Bytes = 56, kLocatorBytes = 20;
constexpr uint64_t kEntryBytes = 46, kLocalBytes = 30;
constexpr uint64_t kMaxComment = 0xffff;
constexpr uint32_t kWide = 0xffffffff;  // "see the 64-bit record"
constexpr uint16_t kWideExtra = 1, kEncrypted = 1;

class DirectoryReader {
 public:
  DirectoryReader(std::span<const std::byte> archive, std::string_view where)
      : archive_(archive), where_(where) {}

  std::vector<ZipEntry> read() {
    const uint64_t end = find_end();
    uint64_t count = number<uint16_t>(end + 10), size = number<uint32_t>(end + 12);
    uint64_t begin = number<uint32_t>(end + 16);
    if (count == 0xffff || size == kWide || begin == kWide) {
      const uint64_t end64 = find_end64(end);
      count = number<uint64_t>(end64 + 32);
      size = number<uint64_t>(end64 + 40);
      begin = number<uint64_t>(end64 + 48);
    }
    check_range(begin, size, "the directory");
    if (count > size / kEntryBytes) {
      fail(fmt::format("the directory of {} bytes cannot hold {} entries", size, count));
    }
    std::vector<ZipEntry> entries;
    std::set<std::string> names;
    uint64_t at = begin;
    for (uint64_t i = 0; i < count; ++i) {
      entries.push_back(read_entry(at, begin + size));
      if (!names.insert(entries.back().name).second) {
        fail(fmt::format("expected each name once, got {} twice", quote(entries.back().name)));
      }
    }
    return entries;
  }

 private:
  template <typename Number>
  uint64_t number(uint64_t at) const {
    check_range(at, sizeof(Number), "a record");
    uint64_t value = 0;
    for (size_t i = 0; i < sizeof(Number); ++i) {
      value |= std::to_integer<uint64_t>(archive_[at + i]) << (8 * i);
    }
    return value;
  }

  // The record of the end lies before a comment of unknown length.
  uint64_t find_end() const {
    if (archive_.size() >= kEndBytes) {
      const uint64_t last = archive_.size() - kEndBytes;
      const uint64_t first = last > kMaxComment ? last - kMaxComment : 0;
      for (uint64_t at = last + 1; at-- > first;) {
        if (number<uint32_t>(at) == kEndSignature &&
            number<uint16_t>(at + 20) == archive_.size() - kEndBytes - at) {
          return at;
        }
      }
    }
    throw FormatError(fmt::format("{}: expected the end record of a ZIP archive, got none. {}",
                                  where_, kRefetch));
  }

  uint64_t find_end64(uint64_t end) const {
    if (end < kLocatorBytes || number<uint32_t>(end - kLocatorBytes) != kLocatorSignature) {
      fail("expected the locator of the 64-bit records, got none");
    }
    const uint64_t end64 = number<uint64_t>(end - kLocatorBytes + 8);
    check_range(end64, kEnd64Bytes, "the 64-bit end record");
    if (number<uint32_t>(end64) != kEnd64Signature) {
      fail("expected the 64-bit end record, got other bytes");
    }
    return end64;
  }

  ZipEntry read_entry(uint64_t& at, uint64_t limit) const {
    if (limit - at < kEntryBytes || number<uint32_t>(at) != kEntrySignature) {
      fail("expected an entry of the directory, got other bytes");
    }
    const uint64_t flags = number<uint16_t>(at + 8), method = number<uint16_t>(at + 10);
    uint64_t packed = number<uint32_t>(at + 20), size = number<uint32_t>(at + 24);
    const uint64_t name_length = number<uint16_t>(at + 28), extra = number<uint16_t>(at + 30);
    const uint64_t comment = number<uint16_t>(at + 32);
    uint64_t local = number<uint32_t>(at + 42);
    const uint64_t name_at = at + kEntryBytes;
    if (limit - name_at < name_length + extra + comment) {
      fail("expected an entry of the directory within its bytes, got a longer one");
    }
    ZipEntry entry;
    entry.name.assign(reinterpret_cast<const char*>(archive_.data()) + name_at, name_length);
    read_wide(name_at + name_length, extra, {&size, &packed, &local});
    if (method != 0 || (flags & kEncrypted) != 0) {
      throw UnsupportedError(
          fmt::format("{}: entry {}: expected plain bytes, got compressed or encrypted ones. Save "
                      "the file again with torch.save.",
                      where_, quote(entry.name)));
    }
    if (packed != size) {
      fail(fmt::format("entry {}: expected one size, got {} and {}", quote(entry.name), packed,
                       size));
    }
    entry.begin = data_begin(local);
    check_range(entry.begin, size, quote(entry.name));
    entry.end = entry.begin + size;
    at = name_at + name_length + extra + comment;
    return entry;
  }

  // Numbers that do not fit into 32 bits stand in an extra field, in the order of the header.
  void read_wide(uint64_t at, uint64_t length, std::initializer_list<uint64_t*> numbers) const {
    const uint64_t end = at + length;
    while (end - at >= 4) {
      const uint64_t kind = number<uint16_t>(at), bytes = number<uint16_t>(at + 2);
      at += 4;
      if (bytes > end - at) return;
      if (kind == kWideExtra) {
        uint64_t place = at;
        for (uint64_t* value : numbers) {
          if (*value != kWide) continue;
          if (at + bytes - place < sizeof(uint64_t)) fail("a 64-bit size is missing");
          *value = number<uint64_t>(place);
          place += sizeof(uint64_t);
        }
        return;
      }
      at += bytes;
    }
  }

  uint64_t data_begin(uint64_t local) const {
    check_range(local, kLocalBytes, "an entry's own header");
    if (number<uint32_t>(local) != kLocalSignature) {
      fail(fmt::format("expected an entry's header at byte {}, got other bytes", local));
    }
    return local + kLocalBytes + number<uint16_t>(local + 26) + number<uint16_t>(local + 28);
  }

  void check_range(uint64_t begin, uint64_t length, std::string_view what) const {
    if (begin > archive_.size() || length > archive_.size() - begin) {
      fail(fmt::format("{}: expected a range within {} bytes, got {} bytes at {}", what,
                       archive_.size(), length, begin));
    }
  }

  [[noreturn]] void fail(std::string_view reason) const {
    throw FormatError(fmt::format("{}: ZIP archive: {}. {}", where_, reason, kRefetch));
  }

  std::span<const std::byte> archive_;
  std::string_view where_;
};

}  // namespace

std::vector<ZipEntry> read_zip_directory(std::span<const std::byte> archive,
                                         std::string_view where) {
  return DirectoryReader(archive, where).read();
}

}  // namespace peft::formats
