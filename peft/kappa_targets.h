#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "peft/adapter/model_tree.h"
#include "peft/peft_model.h"

namespace peft {

struct KappaOptions {
  /// Matrices with a longer side are left out: their singular values would take too long.
  int64_t max_dim_size_to_analyze = 16384;
  /// Ends of the names of parameters that are stacks of matrices, one an expert.
  std::vector<std::string> moe_param_suffixes = {".gate_up_proj", ".down_proj", ".gate_proj",
                                                 ".up_proj"};
  LayerProgress progress = {};  // over the matrices and stacks that are analysed
};

/// How many of the best are taken: `num_modules` counts before `top_p`, that before `threshold`;
/// without any of them all are.
struct KappaChoice {
  std::optional<double> top_p = {};         // this part of all, rounded down, at least one
  std::optional<int64_t> num_modules = {};  // >= 0
  std::optional<double> threshold = {};     // condition numbers up to this one
};

/// A name with its condition number.
using KappaList = std::vector<std::pair<std::string, double>>;

/// Linear layers and stacks of experts by the condition numbers of their weights, the largest
/// singular value over the smallest: those with small ones are the best to adapt.
///
/// Source: KappaTuneSelector in peft/helpers.py.
class KappaTuneSelector {
 public:
  /// Computes the singular values of every linear layer, which may take minutes.
  explicit KappaTuneSelector(const ModelTree& model, const KappaOptions& options = {});

  /// Names for target_modules, the best first.  Throws: ConfigError (a negative number).
  std::vector<std::string> get_best_targets(const KappaChoice& choice = {}) const;
  /// Names for target_parameters, the best first.  Throws: as get_best_targets.
  std::vector<std::string> get_best_target_parameters(const KappaChoice& choice = {}) const;

  /// In the order of the model; of a stack the mean over its experts.
  const KappaList& condition_numbers() const { return modules_; }
  const KappaList& parameter_condition_numbers() const { return parameters_; }

 private:
  KappaList modules_, parameters_;
};

/// What to put into a LoraConfig.
struct KappaTargets {
  std::vector<std::string> target_modules = {};
  std::optional<std::vector<std::string>> target_parameters = {};  // nullopt: no stack of experts
};

/// The part of a model's linear layers and stacks of experts that is best to adapt.
///
///   const KappaTargets best = find_kappa_target_modules(net, 0.3);
///   LoraConfig config{.target_modules = best.target_modules,
///                     .target_parameters = best.target_parameters};
///
/// Source: find_kappa_target_modules in peft/helpers.py.
KappaTargets find_kappa_target_modules(const ModelTree& model, double top_p = 0.2,
                                       const KappaOptions& options = {});
template <typename Holder>
KappaTargets find_kappa_target_modules(const Holder& model, double top_p = 0.2,
                                       const KappaOptions& options = {}) {
  return find_kappa_target_modules(detail::model_tree(model), top_p, options);
}

}  // namespace peft
