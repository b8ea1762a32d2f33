#include "peft/methods/lora/init/low_rank.h"

#include <ATen/ATen.h>

#include <utility>

namespace peft::lora {
namespace {

at::Tensor orthonormal(const at::Tensor& columns) { return std::get<0>(at::linalg_qr(columns)); }

// An orthonormal basis [M, q] of where a tall matrix [M, N] maps random directions.
at::Tensor approximate_basis(const at::Tensor& matrix, int64_t q, int64_t iterations,
                             const std::optional<at::Generator>& generator) {
  const auto device = matrix.device();
  // A generator of one's own lives on the processor.
  const auto made_on = generator ? at::Device(at::kCPU) : device;
  const at::Tensor random =
      at::randn({matrix.size(1), q}, generator,
                at::TensorOptions().dtype(matrix.scalar_type()).device(made_on))
          .to(device);
  at::Tensor basis = orthonormal(at::matmul(matrix, random));
  for (int64_t i = 0; i < iterations; ++i) {
    basis = orthonormal(at::matmul(matrix.t(), basis));
    basis = orthonormal(at::matmul(matrix, basis));
  }
  return basis;
}

}  // namespace

LowRank svd_lowrank(const at::Tensor& matrix, int64_t q, int64_t iterations,
                    const std::optional<at::Generator>& generator) {
  const bool wide = matrix.size(0) < matrix.size(1);
  const at::Tensor tall = wide ? matrix.t() : matrix;
  const at::Tensor basis = approximate_basis(tall, q, iterations, generator);
  const auto [u, s, vh] = at::linalg_svd(at::matmul(basis.t(), tall), false);
  LowRank result{.u = at::matmul(basis, u), .s = s, .v = vh.t()};
  if (wide) std::swap(result.u, result.v);
  return result;
}

}  // namespace peft::lora
