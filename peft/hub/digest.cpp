#include "peft/hub/digest.h"

#include <openssl/evp.h>

#include <array>
#include <new>

#include "peft/base/error.h"
#include "peft/hub/transfer.h"

namespace peft::hub {

struct Digest::State {
  explicit State(const EVP_MD* kind) {
    const bool good = context != nullptr && EVP_DigestInit_ex(context, kind, nullptr) == 1;
    if (!good) throw std::bad_alloc();
  }
  ~State() { EVP_MD_CTX_free(context); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  EVP_MD_CTX* context = EVP_MD_CTX_new();
};

Digest::Digest(Kind kind)
    : state_(std::make_unique<State>(kind == Kind::kSha1 ? EVP_sha1() : EVP_sha256())) {}
Digest::Digest(Digest&&) noexcept = default;
Digest& Digest::operator=(Digest&&) noexcept = default;
Digest::~Digest() = default;

Digest Digest::of_git_blob(uint64_t size) {
  Digest digest(Kind::kSha1);
  digest.update("blob " + std::to_string(size) + std::string(1, '\0'));
  return digest;
}

void Digest::update(std::string_view bytes) {
  EVP_DigestUpdate(state_->context, bytes.data(), bytes.size());
}

std::string Digest::hex() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes = {};
  unsigned size = 0;
  EVP_DigestFinal_ex(state_->context, bytes.data(), &size);
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (unsigned i = 0; i < size; ++i) text += {kDigits[bytes[i] >> 4], kDigits[bytes[i] & 15]};
  return text;
}

std::string sha256_of_file(const std::filesystem::path& path) {
  Digest digest(Digest::Kind::kSha256);
  read_pieces(path, 0, UINT64_MAX, [&](std::string_view piece) { digest.update(piece); });
  return digest.hex();
}

std::string base64(std::string_view bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');
  EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                  reinterpret_cast<const unsigned char*>(bytes.data()),
                  static_cast<int>(bytes.size()));
  text.pop_back();
  return text;
}

}  // namespace peft::hub
