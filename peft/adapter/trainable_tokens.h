#pragma once

#include <map>
#include <string>
#include <vector>

#include "peft/adapter/tuner_layer.h"
#include "peft/base/json.h"

namespace peft {

/// The rows of one module that trainable_token_indices names.
struct TokenRows {
  std::string module;  // the end of a module's name; empty: the input embedding
  std::vector<int64_t> indices;
};

/// Reads trainable_token_indices: a list of rows of the input embedding, or lists by the ends of
/// modules' names, in the order of the file. Null: none.
/// Throws: ConfigError where it is neither.
std::vector<TokenRows> parse_token_rows(const Json& field);

/// Some rows of an embedding that are trained in full. A head that is tied to it multiplies with
/// the same rows. At most one adapter runs at a time.
///
/// Legend: V vocabulary, D width, K trained rows.
/// Source: TrainableTokensLayer in peft/tuners/trainable_tokens/layer.py and
/// TrainableTokensWrapper in peft/utils/other.py.
class TrainableTokensLayer final : public TunerLayer {
 public:
  /// `site`: an embedding, or the linear layer of a head.
  explicit TrainableTokensLayer(Site site);

  /// Throws: ConfigError where an index is not a row of the weight, or stands there twice.
  void add(const std::string& adapter, const PeftConfig& config, at::ScalarType dtype) override;
  /// The rows start as those of the base.
  BaseChange initialise(const std::string& adapter, const PeftConfig& config,
                        const at::Tensor& weight) override;
  void remove(const std::string& adapter) override;
  bool has(const std::string& adapter) const override { return adapters_.contains(adapter); }

  at::Tensor delta_of(const std::string& adapter, const at::Tensor& weight) const override;
  at::Tensor weight_after(const std::string& adapter, const at::Tensor& weight) const override;
  std::string merge_conflict(const std::string& adapter,
                             const std::vector<std::string>& before) const override;

  std::string input_dependence() const override { return {}; }
  at::Tensor replaced(const at::Tensor& weight) const override;
  at::Tensor linear(const at::Tensor& x, const at::Tensor& weight,
                    const std::optional<at::Tensor>& bias) const override;
  at::Tensor transposed_linear(const at::Tensor& x, const at::Tensor& weight,
                               const std::optional<at::Tensor>& bias) const override;
  at::Tensor embedding(const at::Tensor& weight, const EmbeddingCall& call) const override;
  at::Tensor convolution(const at::Tensor& x, const at::Tensor& weight,
                         const std::optional<at::Tensor>& bias,
                         const ConvolutionCall& call) const override;

 private:
  struct Rows {
    at::Tensor indices;  // [K] int64
    at::Tensor sorted;   // [K], the same in rising order
    at::Tensor order;    // [K], where the sorted ones stand in `values`
    at::Tensor values;   // [K, D], what is read in their place
  };
  Rows rows_of(const std::string& name) const;

  std::map<std::string, Rows> adapters_;
};

}  // namespace peft
