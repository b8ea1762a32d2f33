#include "peft/formats/gguf_unpack.h"

#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <bit>

namespace peft::formats {
namespace {

constexpr int64_t kPiece = 1024;  // numbers unpacked at a time; a multiple of every block

template <typename T>
void convert(const float* in, int64_t count, T* out) {
  for (int64_t i = 0; i < count; ++i) out[i] = static_cast<T>(in[i]);
}

// Round to nearest even without a branch, so that the loop is vectorised.
template <>
void convert(const float* in, int64_t count, at::BFloat16* out) {
  auto* bits_out = reinterpret_cast<uint16_t*>(out);
  for (int64_t i = 0; i < count; ++i) {
    const auto bits = std::bit_cast<uint32_t>(in[i]);
    const uint32_t rounded = (bits + 0x7FFFU + (bits >> 16 & 1U)) >> 16;
    const bool nan = (bits & 0x7FFFFFFFU) > 0x7F800000U;
    bits_out[i] = static_cast<uint16_t>(nan ? 0x7FC0U : rounded);
  }
}

template <typename T>
void unpack_row(const GgufType& type, const std::byte* in, int64_t columns, T* out) {
  if constexpr (std::is_same_v<T, float>) {
    type.unpack(in, static_cast<size_t>(columns / type.elements), out);
  } else {
    alignas(64) float piece[kPiece];
    for (int64_t done = 0; done < columns; done += kPiece) {
      const int64_t count = std::min(kPiece, columns - done);
      const auto blocks = static_cast<size_t>(count / type.elements);
      type.unpack(in, blocks, piece);
      convert(piece, count, out + done);
      in += blocks * type.bytes;
    }
  }
}

/// Row of the result that row `row` of the file becomes. The file has, within a head, the first row
/// of each half, then the second of each; PyTorch's rotary embedding wants the halves whole.
int64_t target_row(int64_t row, int64_t rows, int64_t heads) {
  if (heads == 0) return row;
  const int64_t width = rows / heads, half = width / 2;
  const int64_t head = row / width, within = row % width;
  return head * width + within % 2 * half + within / 2;
}

}  // namespace

void unpack_rows(const GgufType& type, const std::byte* in, int64_t heads, const at::Tensor& out) {
  // A vector whose parts are put in order is a column of rows.
  const bool vector = out.dim() < 2;
  const int64_t columns = vector ? (heads > 0 ? 1 : out.numel()) : out.size(-1);
  if (columns == 0 || out.numel() == 0) return;
  const int64_t rows = out.numel() / columns;
  const auto row_bytes = columns / type.elements * type.bytes;
  const int64_t grain = std::max<int64_t>(1, 32768 / columns);
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, out.scalar_type(), "unpack_rows", [&] {
    auto* data = out.mutable_data_ptr<scalar_t>();
    at::parallel_for(0, rows, grain, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        unpack_row(type, in + row * row_bytes, columns,
                   data + target_row(row, rows, heads) * columns);
      }
    });
  });
}

}  // namespace peft::formats
