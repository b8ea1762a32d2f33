#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

namespace peft {

struct IncrementalPCAOptions {
  int64_t n_components = 0;  // 0: as many as the first batch has rows or features
  bool lowrank = false;      // the randomised decomposition instead of the full one
  int64_t lowrank_q = 0;     // its width; 0: twice n_components
  int64_t lowrank_niter = 4;
  std::optional<uint64_t> lowrank_seed = std::nullopt;  // null: the default generator goes on
};

/// Principal components of data that comes in batches. After the first batch numbers are float64,
/// as in Python. N samples of a batch, F features, K components.
///
/// Source: Ross et al. 2008, doi:10.1007/s11263-007-0075-7; peft/utils/incremental_pca.py, which
/// follows scikit-learn.
class IncrementalPCA {
 public:
  /// Throws: ConfigError where lowrank_q is smaller than n_components, or cannot be told.
  explicit IncrementalPCA(const IncrementalPCAOptions& options);

  /// Takes a batch [N, F] in. Throws: ConfigError where N or F is smaller than K, or F is not that
  /// of the first batch.
  void partial_fit(const at::Tensor& batch);

  bool fitted() const { return components_.defined(); }
  /// [K, F], the largest first. K is smaller than asked for where the decomposition has fewer.
  const at::Tensor& components() const { return components_; }
  const at::Tensor& singular_values() const { return singular_values_; }  // [K]
  const at::Tensor& mean() const { return mean_; }                        // [F] float64
  const at::Tensor& variance() const { return variance_; }                // [F] float64
  /// The share of the data's variance that each component explains.  [K]
  const at::Tensor& explained_variance_ratio() const { return explained_variance_ratio_; }

  /// The data in terms of the components.  [N, F] -> [N, K]
  at::Tensor transform(const at::Tensor& data) const;

 private:
  struct Moments {
    at::Tensor mean, variance;
    int64_t count = 0;
  };
  Moments with_batch(const at::Tensor& batch) const;
  void check(const at::Tensor& batch) const;
  at::Tensor stacked(const at::Tensor& batch, int64_t count) const;
  void decompose(const at::Tensor& matrix, const Moments& moments);

  IncrementalPCAOptions options_;
  int64_t count_ = 0;  // samples so far
  at::Tensor components_, singular_values_, mean_, variance_, explained_variance_ratio_;
};

}  // namespace peft
