#include "peft/formats/gguf_dequant.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <set>

#include "peft/base/mapped_file.h"
#include "peft/formats/gguf_types.h"
#include "peft/formats/safetensors_header.h"

namespace peft::formats {
namespace {

TEST(GgufDequant, EveryTypeGivesTheBitsOfThePythonLibrary) {
  const MappedFile file(PEFT_SOURCE_DIR "/tests/formats/golden/gguf_blocks.safetensors");
  const SafetensorsHeader header = parse_safetensors_header(file.bytes(), "golden");
  const auto bytes_of = [&](const std::string& name) {
    for (const SafetensorsEntry& entry : header.tensors) {
      if (entry.name == name) return file.bytes().subspan(entry.begin, entry.end - entry.begin);
    }
    return std::span<const std::byte>();
  };
  std::set<std::string_view> seen;
  for (uint32_t id = 0; id < 64; ++id) {
    const GgufType* type = find_gguf_type(id);
    if (type == nullptr || type->unpack == nullptr) continue;
    const auto blocks = bytes_of(std::string(type->name) + ".blocks");
    const auto expected = bytes_of(std::string(type->name) + ".values");
    ASSERT_FALSE(blocks.empty()) << type->name;
    const size_t count = blocks.size() / type->bytes;
    std::vector<float> values(count * type->elements), python(values.size());
    ASSERT_EQ(expected.size(), values.size() * sizeof(float)) << type->name;
    std::memcpy(python.data(), expected.data(), expected.size());
    type->unpack(blocks.data(), count, values.data());
    EXPECT_EQ(values, python) << type->name;
    seen.insert(type->name);
  }
  EXPECT_EQ(seen.size(), 13);
}

TEST(GgufDequant, HalfPrecisionInfinitiesAndSubnormalsAreExact) {
  const uint16_t halves[] = {0x7C00, 0xFC00, 0x0001, 0x83FF, 0x3C00, 0x7E00, 0x7BFF};
  float out[7];
  unpack_f16(reinterpret_cast<const std::byte*>(halves), 7, out);
  EXPECT_EQ(out[0], INFINITY);
  EXPECT_EQ(out[1], -INFINITY);
  EXPECT_EQ(out[2], std::ldexp(1.0F, -24));
  EXPECT_EQ(out[3], -std::ldexp(1023.0F, -24));
  EXPECT_EQ(out[4], 1.0F);
  EXPECT_TRUE(std::isnan(out[5]));
  EXPECT_EQ(out[6], 65504.0F);
}

}  // namespace
}  // namespace peft::formats
