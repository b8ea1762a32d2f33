#include "peft/methods/lora/init/quantise.h"

#include <ATen/ATen.h>

#include <array>

namespace peft::lora {
namespace {

constexpr int64_t kBlock = 64;

// The levels of NF4, from equation 4 of the paper.
at::Tensor nf4_levels() {
  static constexpr std::array<float, 16> kLevels{-1.0F,
                                                 -0.6961928009986877F,
                                                 -0.5250730514526367F,
                                                 -0.39491748809814453F,
                                                 -0.28444138169288635F,
                                                 -0.18477343022823334F,
                                                 -0.09105003625154495F,
                                                 0.0F,
                                                 0.07958029955625534F,
                                                 0.16093020141124725F,
                                                 0.24611230194568634F,
                                                 0.33791524171829224F,
                                                 0.44070982933044434F,
                                                 0.5626170039176941F,
                                                 0.7229568362236023F,
                                                 1.0F};
  return at::tensor(at::ArrayRef<float>(kLevels.data(), kLevels.size()), at::kFloat);
}

// [blocks, 64]: the numbers of a tensor, the last block filled up with zeros.
at::Tensor in_blocks(const at::Tensor& flat) {
  const int64_t missing = (kBlock - flat.numel() % kBlock) % kBlock;
  return at::constant_pad_nd(flat, {0, missing}).view({-1, kBlock});
}

}  // namespace

Nf4Weight quantise_nf4(const at::Tensor& weight) {
  const at::Tensor flat = weight.to(at::kFloat).reshape({-1});
  const at::Tensor blocks = in_blocks(flat);
  const at::Tensor absmax = blocks.abs().amax(-1);
  // A block of zeros stays one.
  const at::Tensor scaled =
      (blocks * (1.0 / absmax.clamp_min(1e-38)).unsqueeze(-1)).clamp(-1, 1).view({-1});
  const at::Tensor levels = nf4_levels().to(weight.device());
  const at::Tensor bounds = (levels.slice(0, 0, 15) + levels.slice(0, 1, 16)) / 2;
  const at::Tensor codes = at::bucketize(scaled, bounds, true).to(at::kByte);
  return {.codes = codes.narrow(0, 0, flat.numel()).clone(),
          .absmax = absmax,
          .shape = weight.sizes().vec()};
}

at::Tensor dequantise(const Nf4Weight& weight) {
  const at::Tensor levels = nf4_levels().to(weight.codes.device());
  const at::Tensor values = levels.index_select(0, weight.codes.to(at::kInt));
  const at::Tensor scaled = in_blocks(values) * weight.absmax.unsqueeze(-1);
  return scaled.view({-1}).narrow(0, 0, values.numel()).reshape(weight.shape).clone();
}

Int8Weight quantise_int8(const at::Tensor& weight) {
  const at::Tensor half = weight.to(at::kHalf);
  const at::Tensor stats = half.abs().amax(1).to(at::kFloat);
  // A row of zeros has no scale: its codes are zeros.
  const at::Tensor scale = at::where(stats > 0, 127.0 / stats, at::zeros_like(stats));
  return {.codes = at::round(half * scale.unsqueeze(-1)).to(at::kChar), .row_stats = stats};
}

at::Tensor dequantise(const Int8Weight& weight) {
  return weight.codes * weight.row_stats.unsqueeze(-1) * 7.874015718698502e-3;  // 1 / 127
}

}  // namespace peft::lora
