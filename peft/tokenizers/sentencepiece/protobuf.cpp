#include "peft/tokenizers/sentencepiece/protobuf.h"

#include <fmt/core.h>

#include <bit>

#include "peft/base/error.h"
#include "peft/base/text.h"

namespace peft::tokenizers {

ProtobufReader::ProtobufReader(std::string_view bytes, std::string where)
    : bytes_(bytes), where_(std::move(where)) {}

bool ProtobufReader::next() {
  if (at_ == bytes_.size()) return false;
  const uint64_t tag = read_varint();
  if (tag >> 3 == 0 || tag >> 3 > 0x1FFFFFFF) {
    fail(fmt::format("expected a field from 1 to {}, got {}", 0x1FFFFFFF, tag >> 3));
  }
  field_ = static_cast<uint32_t>(tag >> 3);
  wire_ = static_cast<Wire>(tag & 7);
  switch (wire_) {
    case Wire::kVarint:
      varint_ = read_varint();
      return true;
    case Wire::kFixed64:
      value_ = take(8);
      return true;
    case Wire::kBytes:
      value_ = take(read_varint());
      return true;
    case Wire::kFixed32:
      value_ = take(4);
      return true;
  }
  fail(
      fmt::format("field {} is of a kind that no model has: expected wire type 0, 1, 2 or 5, got "
                  "{}",
                  field_, tag & 7));
}

int64_t ProtobufReader::integer() const {
  expect(Wire::kVarint, "an integer");
  return static_cast<int64_t>(varint_);
}

float ProtobufReader::number() const {
  expect(Wire::kFixed32, "a number of 32 bits");
  uint32_t bits = 0;
  for (size_t i = 4; i-- > 0;) bits = bits << 8 | static_cast<unsigned char>(value_[i]);
  return std::bit_cast<float>(bits);
}

std::string_view ProtobufReader::bytes() const {
  expect(Wire::kBytes, "bytes");
  return value_;
}

std::string ProtobufReader::text() const {
  const std::string_view text = bytes();
  if (!is_valid_utf8(text)) {
    fail(fmt::format("field {} is no text: expected UTF-8, got {}", field_, quote(text)));
  }
  return std::string(text);
}

uint64_t ProtobufReader::read_varint() {
  uint64_t number = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    const auto byte = static_cast<unsigned char>(take(1).front());
    number |= uint64_t{byte & 0x7Fu} << shift;
    if (byte < 0x80) return number;
  }
  fail("a number is too long: expected at most 10 bytes, got more");
}

std::string_view ProtobufReader::take(uint64_t count) {
  if (count > bytes_.size() - at_) {
    fail(fmt::format("cut off: expected {} more bytes, got {}", count, bytes_.size() - at_));
  }
  const std::string_view taken = bytes_.substr(at_, count);
  at_ += count;
  return taken;
}

void ProtobufReader::expect(Wire wire, std::string_view name) const {
  if (wire_ == wire) return;
  fail(fmt::format("field {} has the wrong kind: expected {} (wire type {}), got wire type {}",
                   field_, name, static_cast<int>(wire), static_cast<int>(wire_)));
}

void ProtobufReader::fail(const std::string& problem) const {
  throw FormatError(fmt::format(
      "{}: not a SentencePiece model: {} (at byte {}). Check the file, or fetch it again.", where_,
      problem, at_));
}

}  // namespace peft::tokenizers
