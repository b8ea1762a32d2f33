#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "peft/base/json.h"
#include "peft/formats/gguf_types.h"

namespace peft::formats {

/// One metadata value; its bytes stay in the file until json() is asked for.
struct GgufMetadata {
  std::string key;
  uint32_t type = 0;                      // the file's number of the type, 9 is a list
  std::span<const std::byte> bytes = {};  // checked: reading it stays inside
};

/// Where one tensor lies in a GGUF file.
struct GgufTensor {
  std::string name;            // the file's own: "blk.0.attn_q.weight"
  std::vector<int64_t> shape;  // as in PyTorch: rows first (the file counts the other way)
  const GgufType* type = nullptr;
  uint64_t begin = 0, bytes = 0;  // from the start of the file
};

/// The checked header of a GGUF file. It refers to the file's bytes and must not outlive them.
class GgufHeader {
 public:
  /// Reads versions 2 and 3, little-endian. Afterwards every value and tensor lies inside the file,
  /// fits its shape and type, and no two tensors overlap.
  /// Throws: FormatError, UnsupportedError (version 1, big-endian).
  /// Source: the GGUF specification in ggml/docs/gguf.md; docs/formats/gguf.md.
  static GgufHeader parse(std::span<const std::byte> file, std::string_view where);

  uint32_t version() const { return version_; }
  const std::vector<GgufMetadata>& metadata() const { return metadata_; }
  const std::vector<GgufTensor>& tensors() const { return tensors_; }

  bool contains(std::string_view key) const { return places_.contains(std::string(key)); }

  /// The value of that key; null where it is not there. Lists become JSON arrays.
  Json json(std::string_view key) const;
  static Json json(const GgufMetadata& value);

  /// Number of entries of a list without reading them; 0 for anything else.
  uint64_t list_length(std::string_view key) const;

  /// One entry of a list of strings; nullopt where the key is no such list or the index is past it.
  std::optional<std::string> list_string(std::string_view key, uint64_t index) const;

 private:
  friend class GgufReader;
  uint32_t version_ = 0;
  std::vector<GgufMetadata> metadata_;
  std::vector<GgufTensor> tensors_;
  std::unordered_map<std::string, size_t> places_;
};

}  // namespace peft::formats
