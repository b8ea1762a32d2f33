#include "peft/methods/lora/init/incremental_pca.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <cmath>

#include "peft/base/error.h"
#include "peft/methods/lora/init/low_rank.h"

namespace peft {
namespace {

using at::Tensor;

[[noreturn]] void throw_batch(const std::string& expected, int64_t got) {
  throw ConfigError("IncrementalPCA: expected " + expected + ", got " + std::to_string(got) +
                    ". Use larger batches or fewer components.");
}

// The sign of each component's largest entry.  [K]
Tensor signs_of(const Tensor& vh) {
  const Tensor places = vh.abs().argmax(1, true);
  return vh.gather(1, places).squeeze(1).sign();
}

}  // namespace

IncrementalPCA::IncrementalPCA(const IncrementalPCAOptions& options) : options_(options) {
  if (!options_.lowrank) return;
  if (options_.lowrank_q == 0) options_.lowrank_q = 2 * options_.n_components;
  if (options_.lowrank_q < options_.n_components || options_.lowrank_q == 0) {
    throw_batch("a lowrank_q of at least n_components", options_.lowrank_q);
  }
}

void IncrementalPCA::check(const Tensor& batch) const {
  if (batch.dim() != 2) throw_batch("a batch of two dimensions", batch.dim());
  const int64_t wanted = options_.n_components;
  if (batch.size(1) < wanted) {
    throw_batch("at least " + std::to_string(wanted) + " features", batch.size(1));
  }
  if (batch.size(0) < wanted) {
    throw_batch("at least " + std::to_string(wanted) + " samples in a batch", batch.size(0));
  }
  if (mean_.defined() && batch.size(1) != mean_.size(0)) {
    throw_batch(std::to_string(mean_.size(0)) + " features as in the first batch", batch.size(1));
  }
}

// Mean and variance in float64, from sums that are corrected for rounding.
IncrementalPCA::Moments IncrementalPCA::with_batch(const Tensor& batch) const {
  const auto rows = static_cast<double>(batch.size(0));
  const auto before = static_cast<double>(count_);
  const double all = before + rows;
  const Tensor sum = batch.sum(0, false, at::kDouble);
  const Tensor last_sum = mean_.defined() ? mean_ * before : at::zeros_like(sum);
  const Tensor centred = batch - sum / rows;
  Tensor spread = centred.square().sum(0, false, at::kDouble) -
                  centred.sum(0, false, at::kDouble).square() / rows;
  if (variance_.defined()) {
    const double ratio = before / rows;
    spread = variance_ * before + spread + (last_sum / ratio - sum).square() * (ratio / all);
  }
  return {
      .mean = (last_sum + sum) / all, .variance = spread / all, .count = count_ + batch.size(0)};
}

// The components so far, the centred batch, and a row for the move of the mean: the matrix whose
// decomposition is that of all the data.
Tensor IncrementalPCA::stacked(const Tensor& batch, int64_t count) const {
  const Tensor batch_mean = batch.mean(0);
  const double factor = std::sqrt(static_cast<double>(count_) / static_cast<double>(count) *
                                  static_cast<double>(batch.size(0)));
  const Tensor correction = (mean_ - batch_mean) * factor;
  return at::vstack({singular_values_.view({-1, 1}) * components_, batch - batch_mean, correction});
}

void IncrementalPCA::decompose(const Tensor& matrix, const Moments& moments) {
  Tensor s, vh;
  if (options_.lowrank) {
    std::optional<at::Generator> generator;
    if (options_.lowrank_seed) generator = at::detail::createCPUGenerator(*options_.lowrank_seed);
    const lora::LowRank found =
        lora::svd_lowrank(matrix, options_.lowrank_q, options_.lowrank_niter, generator);
    s = found.s, vh = found.v.t();
  } else {
    const auto [u, all_s, all_vh] = at::linalg_svd(matrix, false);
    s = all_s, vh = all_vh;
  }
  vh = vh * signs_of(vh).unsqueeze(-1);
  const Tensor total = (moments.variance * static_cast<double>(moments.count)).sum();
  const Tensor ratio = s.square() / total;
  components_ = vh.slice(0, 0, options_.n_components);
  singular_values_ = s.slice(0, 0, options_.n_components);
  explained_variance_ratio_ = ratio.slice(0, 0, options_.n_components);
}

void IncrementalPCA::partial_fit(const Tensor& batch) {
  check(batch);
  at::NoGradGuard no_grad;
  const bool wide = batch.scalar_type() == at::kDouble;
  const Tensor x = wide ? batch : batch.to(at::kFloat);
  if (options_.n_components == 0) options_.n_components = std::min(x.size(0), x.size(1));
  const Moments moments = with_batch(x);
  // The first batch keeps its own type.
  decompose(fitted() ? stacked(x, moments.count) : (x - moments.mean).to(x.scalar_type()), moments);
  mean_ = moments.mean;
  variance_ = moments.variance;
  count_ = moments.count;
}

Tensor IncrementalPCA::transform(const Tensor& data) const {
  const Tensor centred = data - mean_;
  return at::mm(centred.to(at::kDouble), components_.t().to(at::kDouble)).to(centred.scalar_type());
}

}  // namespace peft
