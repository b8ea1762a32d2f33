#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace peft::formats {

/// One file of an archive, stored without compression.
struct ZipEntry {
  std::string name;
  uint64_t begin = 0, end = 0;  // bytes from the start of the archive
};

/// Reads the directory of a whole ZIP archive, with the 64-bit records where they are used.
/// Afterwards every range lies inside the archive and no name appears twice. Check sums are not
/// compared: PyTorch, whose archives these are, may leave them out. Throws: FormatError;
/// UnsupportedError (compressed or encrypted entries). Source: APPNOTE.TXT 6.3.10, sections 4.3.7
/// to 4.3.16; docs/formats/torch_file.md.
std::vector<ZipEntry> read_zip_directory(std::span<const std::byte> archive,
                                         std::string_view where);

}  // namespace peft::formats
