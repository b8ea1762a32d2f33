#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace peft::formats {

/// Writes GGUF files as a hostile author would: without any check.
class GgufBytes {
 public:
  template <typename T>
  GgufBytes& number(T value) {
    text_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  GgufBytes& string(const std::string& value) {
    number<uint64_t>(value.size());
    text_ += value;
    return *this;
  }
  GgufBytes& start(uint64_t tensors, uint64_t values, uint32_t version = 3) {
    text_ += "GGUF";
    return number(version).number(tensors).number(values);
  }
  GgufBytes& tensor(const std::string& name, std::vector<uint64_t> shape, uint32_t type,
                    uint64_t offset) {
    string(name).number(static_cast<uint32_t>(shape.size()));
    for (const uint64_t length : shape) number(length);
    return number(type).number(offset);
  }
  std::string data(size_t bytes) const {
    std::string out = text_;
    out.resize((out.size() + 31) / 32 * 32);
    return out + std::string(bytes, 'x');
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

}  // namespace peft::formats
