#include "peft/formats/gguf_dequant.h"

#include <bit>
#include <cstdint>
#include <cstring>

namespace peft::formats {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF files are little-endian");

constexpr size_t kSmall = 32;   // numbers in a block of the Q*_0 and Q*_1 types
constexpr size_t kLarge = 256;  // numbers in a block of the K types

const uint8_t* u8(const std::byte* bytes) { return reinterpret_cast<const uint8_t*>(bytes); }

template <typename T>
T load(const uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

float float_from_bits(uint32_t bits) { return std::bit_cast<float>(bits); }

/// IEEE half precision to single; exact for every input, subnormals included.
float half(const uint8_t* at) {
  const uint32_t bits = load<uint16_t>(at);
  const uint32_t sign = (bits & 0x8000U) << 16;
  const uint32_t magnitude = bits & 0x7FFFU;
  if (magnitude >= 0x7C00U) return float_from_bits(sign | 0x7F800000U | (magnitude & 0x3FFU) << 13);
  // The exponent's bias is 127 instead of 15: a product with 2^112 is exact and mends subnormals
  // too.
  const float scaled = float_from_bits(magnitude << 13) * float_from_bits(239U << 23);
  return float_from_bits(sign | std::bit_cast<uint32_t>(scaled));
}

/// The 6-bit scales and minima of Q4_K and Q5_K, packed into 12 bytes.
struct ScalesAndMinima {
  float scale[8], minimum[8];
};

ScalesAndMinima unpack_scales(const uint8_t* in, float d, float dmin) {
  ScalesAndMinima out;
  for (size_t j = 0; j < 4; ++j) {
    out.scale[j] = d * static_cast<float>(in[j] & 0x3F);
    out.minimum[j] = dmin * static_cast<float>(in[j + 4] & 0x3F);
    out.scale[j + 4] = d * static_cast<float>((in[j + 8] & 0x0F) | (in[j] >> 2 & 0x30));
    out.minimum[j + 4] = dmin * static_cast<float>(in[j + 8] >> 4 | (in[j + 4] >> 2 & 0x30));
  }
  return out;
}

}  // namespace

void unpack_f32(const std::byte* in, size_t blocks, float* out) {
  if (blocks > 0) std::memcpy(out, in, blocks * sizeof(float));
}

void unpack_f16(const std::byte* in, size_t blocks, float* out) {
  for (size_t i = 0; i < blocks; ++i) out[i] = half(u8(in) + 2 * i);
}

void unpack_bf16(const std::byte* in, size_t blocks, float* out) {
  for (size_t i = 0; i < blocks; ++i) {
    out[i] = float_from_bits(uint32_t{load<uint16_t>(u8(in) + 2 * i)} << 16);
  }
}

void unpack_q4_0(const std::byte* in, size_t blocks, float* out) {
  const uint8_t* at = u8(in);
  for (size_t b = 0; b < blocks; ++b, at += 18, out += kSmall) {
    const float d = half(at);
    for (size_t i = 0; i < 16; ++i) {
      out[i] = d * static_cast<float>((at[2 + i] & 0x0F) - 8);
      out[i + 16] = d * static_cast<float>((at[2 + i] >> 4) - 8);
    }
  }
}

void unpack_q4_1(const std::byte* in, size_t blocks, float* out) {
  const uint8_t* at = u8(in);
  for (size_t b = 0; b < blocks; ++b, at += 20, out += kSmall) {
    const float d = half(at), m = half(at + 2);
    for (size_t i = 0; i < 16; ++i) {
      out[i] = d * static_cast<float>(at[4 + i] & 0x0F) + m;
      out[i + 16] = d * static_cast<float>(at[4 + i] >> 4) + m;
    }
  }
}

void unpack_q5_0(const std::byte* in, size_t blocks, float* out) {
  const uint8_t* at = u8(in);
  for (size_t b = 0; b < blocks; ++b, at += 22, out += kSmall) {
    const float d = half(at);
    const auto high = load<uint32_t>(at + 2);
    for (uint32_t i = 0; i < 16; ++i) {
      const int low = (at[6 + i] & 0x0F) | static_cast<int>(high >> i & 1U) << 4;
      const int top = (at[6 + i] >> 4) | static_cast<int>(high >> (i + 16) & 1U) << 4;
      out[i] = d * static_cast<float>(low - 16);
      out[i + 16] = d * static_cast<float>(top - 16);
    }
  }
}

void unpack_q5_1(const std::byte* in, size_t blocks, float* out) {
  const uint8_t* at = u8(in);
  for (size_t b = 0; b < blocks; ++b, at += 24, out += kSmall) {
    const float d = half(at), m = half(at + 2);
    const auto high = load<uint32_t>(at + 4);
    for (uint32_t i = 0; i < 16; ++i) {
      const int low = (at[8 + i] & 0x0F) | static_cast<int>(high >> i & 1U) << 4;
      const int top = (at[8 + i] >> 4) | static_cast<int>(high >> (i + 16) & 1U) << 4;
      out[i] = d * static_cast<float>(low) + m;
      out[i + 16] = d * static_cast<float>(top) + m;
    }
  }
}

void unpack_q8_0(const std::byte* in, size_t blocks, float* out) {
  const uint8_t* at = u8(in);
  for (size_t b = 0; b < blocks; ++b, at += 34, out += kSmall) {
    const float d = half(at);
    for (size_t i = 0; i < kSmall; ++i) {
      out[i] = static_cast<float>(static_cast<int8_t>(at[2 + i])) * d;
    }
  }
}

void unpack_q2_k(const std::byte* in, size_t blocks, float* out) {
  const uint8_t* at = u8(in);
  for (size_t b = 0; b < blocks; ++b, at += 84, out += kLarge) {
    const uint8_t* scales = at;
    const uint8_t* packed = at + 16;
    const float d = half(at + 80), dmin = half(at + 82);
    // Groups of 16 numbers share a scale; four groups of 32 lie in the same bytes, two bits each.
    for (size_t i = 0; i < kLarge; ++i) {
      const uint8_t s = scales[i / 16];
      const int q = packed[i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2) & 3;
      out[i] = d * static_cast<float>(s & 0x0F) * static_cast<float>(q) -
               dmin * static_cast<float>(s >> 4);
    }
  }
}

void unpack_q3_k(const std::byte* in, size_t blocks, float* out) {
  const uint8_t* at = u8(in);
  for (size_t b = 0; b < blocks; ++b, at += 110, out += kLarge) {
    const uint8_t* mask = at;
    const uint8_t* packed = at + 32;
    const uint8_t* scales = at + 96;
    const float d = half(at + 108);
    float scale[16];
    for (size_t j = 0; j < 16; ++j) {
      const int low = scales[j % 8] >> (j / 8 * 4) & 0x0F;
      const int high = scales[8 + j % 4] >> (j / 4 * 2) & 3;
      scale[j] = d * static_cast<float>((low | high << 4) - 32);
    }
    for (size_t i = 0; i < kLarge; ++i) {
      const int low = packed[i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2) & 3;
      const int high = mask[i % 32] >> (i / 32) & 1;  // a clear bit takes four away
      out[i] = scale[i / 16] * static_cast<float>(low - (high == 0 ? 4 : 0));
    }
  }
}

void unpack_q4_k(const std::byte* in, size_t blocks, float* out) {
  const uint8_t* at = u8(in);
  for (size_t b = 0; b < blocks; ++b, at += 144, out += kLarge) {
    const ScalesAndMinima s = unpack_scales(at + 4, half(at), half(at + 2));
    for (size_t j = 0; j < 8; ++j) {
      const uint8_t* packed = at + 16 + j / 2 * 32;
      for (size_t i = 0; i < 32; ++i) {
        const int q = packed[i] >> (j % 2 * 4) & 0x0F;
        out[j * 32 + i] = s.scale[j] * static_cast<float>(q) - s.minimum[j];
      }
    }
  }
}

void unpack_q5_k(const std::byte* in, size_t blocks, float* out) {
  const uint8_t* at = u8(in);
  for (size_t b = 0; b < blocks; ++b, at += 176, out += kLarge) {
    const ScalesAndMinima s = unpack_scales(at + 4, half(at), half(at + 2));
    const uint8_t* high = at + 16;
    for (size_t j = 0; j < 8; ++j) {
      const uint8_t* packed = at + 48 + j / 2 * 32;
      for (size_t i = 0; i < 32; ++i) {
        const int q = (packed[i] >> (j % 2 * 4) & 0x0F) | (high[i] >> j & 1) << 4;
        out[j * 32 + i] = s.scale[j] * static_cast<float>(q) - s.minimum[j];
      }
    }
  }
}

void unpack_q6_k(const std::byte* in, size_t blocks, float* out) {
  const uint8_t* at = u8(in);
  for (size_t b = 0; b < blocks; ++b, at += 210, out += kLarge) {
    const uint8_t* scales = at + 192;
    const float d = half(at + 208);
    for (size_t i = 0; i < kLarge; ++i) {
      const size_t part = i / 128, within = i % 128;
      const int low = at[part * 64 + within % 64] >> (within / 64 * 4) & 0x0F;
      const int high = at[128 + part * 32 + i % 32] >> (within / 32 * 2) & 3;
      const float scale = d * static_cast<float>(static_cast<int8_t>(scales[i / 16]));
      out[i] = scale * static_cast<float>((low | high << 4) - 32);
    }
  }
}

}  // namespace peft::formats
