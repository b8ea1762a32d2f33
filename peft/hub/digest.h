#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace peft::hub {

/// Hashes bytes as they come.
class Digest {
 public:
  enum class Kind { kSha1, kSha256 };

  explicit Digest(Kind kind);
  /// The SHA-1 under which git keeps a file of `size` bytes; the bytes follow by update().
  static Digest of_git_blob(uint64_t size);
  Digest(Digest&&) noexcept;
  Digest& operator=(Digest&&) noexcept;
  ~Digest();

  void update(std::string_view bytes);
  /// Lower-case hexadecimal. The digest takes no more bytes afterwards.
  std::string hex();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The SHA-256 of a file.  Throws: NotFoundError, IoError.
std::string sha256_of_file(const std::filesystem::path& path);

/// As RFC 4648 has it, with padding.
std::string base64(std::string_view bytes);

}  // namespace peft::hub
