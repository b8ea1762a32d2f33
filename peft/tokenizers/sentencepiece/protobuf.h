#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace peft::tokenizers {

/// Reads one message of Protocol Buffers from front to back, field by field. Views the bytes, which
/// must outlive it; never reads past them. Everything throws FormatError "<where>: ...".
/// Source: https://protobuf.dev/programming-guides/encoding
class ProtobufReader {
 public:
  ProtobufReader(std::string_view bytes, std::string where);

  /// Goes to the next field; false at the end. What was not asked for is passed over.
  bool next();
  /// The number of the field.
  uint32_t field() const { return field_; }

  /// Its value; a value of another kind than the one asked for is an error.
  int64_t integer() const;
  bool boolean() const { return integer() != 0; }
  float number() const;
  /// Bytes, a text or a message within.
  std::string_view bytes() const;
  /// A text.
  std::string text() const;

 private:
  enum class Wire : uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

  uint64_t read_varint();
  std::string_view take(uint64_t count);
  void expect(Wire wire, std::string_view name) const;
  [[noreturn]] void fail(const std::string& problem) const;

  std::string_view bytes_;
  std::string where_;
  size_t at_ = 0;
  uint32_t field_ = 0;
  Wire wire_ = Wire::kVarint;
  uint64_t varint_ = 0;
  std::string_view value_;  // of the kinds that are no varint
};

}  // namespace peft::tokenizers
