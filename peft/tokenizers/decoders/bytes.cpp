#include "peft/tokenizers/byte_level.h"
#include "peft/tokenizers/decoders/stages.h"
#include "peft/tokenizers/unicode.h"

// The decoders for tokens that stand for bytes.
namespace peft::tokenizers {
namespace {

/// All tokens become one text. A token with a character that is no stand-in counts as it is.
class ByteLevelDecoder : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::string bytes;
    for (const std::string& token : tokens) {
      const auto decoded = from_byte_level(token);
      bytes += decoded ? *decoded : token;
    }
    tokens.assign(1, to_valid_utf8(bytes));
  }
};

int hex_digit(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

/// The byte of "<0x41>", -1 for any other token.
int fallback_byte(const std::string& token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return -1;
  const int low = hex_digit(token[4]);
  // As Rust's from_str_radix, which takes a sign.
  const int high = token[3] == '+' ? 0 : hex_digit(token[3]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/// Runs of byte tokens become the characters that they spell; a broken run U+FFFD for each byte.
class ByteFallback : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::vector<std::string> decoded;
    std::string bytes;
    const auto flush = [&] {
      if (bytes.empty()) return;
      if (valid_utf8_prefix(bytes) == bytes.size()) {
        decoded.push_back(bytes);
      } else {
        decoded.insert(decoded.end(), bytes.size(), "\uFFFD");
      }
      bytes.clear();
    };
    for (std::string& token : tokens) {
      if (const int byte = fallback_byte(token); byte >= 0) {
        bytes += static_cast<char>(byte);
        continue;
      }
      flush();
      decoded.push_back(std::move(token));
    }
    flush();
    tokens = std::move(decoded);
  }
};

}  // namespace

DecoderPtr make_byte_level_decoder(const JsonView&) { return std::make_unique<ByteLevelDecoder>(); }

DecoderPtr make_byte_fallback(const JsonView&) { return std::make_unique<ByteFallback>(); }

}  // namespace peft::tokenizers
