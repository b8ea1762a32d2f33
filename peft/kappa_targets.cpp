#include "peft/kappa_targets.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>

#include "peft/adapter/site.h"
#include "peft/adapter/tag.h"
#include "peft/base/error.h"
#include "peft/base_model.h"

namespace peft {
namespace {

constexpr double kSmallest = 1e-8;  // keeps the quotient finite

// Python's head of a tied model is a layer of its own; it is given its name for a while.
class NamedHead {
 public:
  explicit NamedHead(const ModelTree& tree)
      : tree_(tree), made_(prepare_base_model(tree).tied_head) {}
  NamedHead(const NamedHead&) = delete;
  NamedHead& operator=(const NamedHead&) = delete;
  ~NamedHead() {
    if (made_) release_base_model(tree_);
  }

 private:
  const ModelTree& tree_;
  const bool made_;
};

bool is_analysed(at::IntArrayRef shape, int64_t longest) {
  return std::all_of(shape.begin(), shape.end(), [&](int64_t side) { return side <= longest; });
}

// In float32, as the singular values are: a double would order others first.
double condition_number(const at::Tensor& matrix) {
  const at::Tensor values = at::linalg_svdvals(matrix);
  return (values[0] / (values[-1] + kSmallest)).item<double>();
}

NamedTensors linear_weights(const ModelTree& tree) {
  NamedTensors weights;
  for (const ModuleEntry& module : tree.modules()) {
    if (!is_linear(module)) continue;
    const FoundSite found = sites_of(module).front();
    if (found.site.kind == SiteKind::kLinear) weights.emplace_back(module.name, found.weight);
  }
  return weights;
}

NamedTensors expert_stacks(const ModelTree& tree, const std::vector<std::string>& suffixes) {
  NamedTensors stacks;
  for (const auto& [name, tensor] : tree.parameters()) {
    const bool named = std::any_of(suffixes.begin(), suffixes.end(),
                                   [&name = name](const auto& end) { return name.ends_with(end); });
    if (named && tensor.dim() == 3) stacks.emplace_back(name, tensor);
  }
  return stacks;
}

double mean_condition_number(const at::Tensor& stack) {
  std::vector<double> kappas;
  for (const at::Tensor& expert : stack.unbind()) kappas.push_back(condition_number(expert));
  return std::accumulate(kappas.begin(), kappas.end(), 0.0) / static_cast<double>(kappas.size());
}

size_t count_of(const KappaChoice& choice, size_t all) {
  if (choice.num_modules) {
    if (*choice.num_modules < 0) {
      throw ConfigError("num_modules: expected a number of at least 0, got " +
                        std::to_string(*choice.num_modules) + ".");
    }
    return std::min(static_cast<size_t>(*choice.num_modules), all);
  }
  const double wanted = static_cast<double>(all) * *choice.top_p;
  if (!(wanted >= 0)) {
    throw ConfigError("top_p: expected a number of at least 0, got " +
                      std::to_string(*choice.top_p) + ".");
  }
  return wanted >= static_cast<double>(all) ? all
                                            : std::max<size_t>(1, static_cast<size_t>(wanted));
}

std::vector<std::string> best_of(KappaList list, const KappaChoice& choice) {
  std::stable_sort(list.begin(), list.end(),
                   [](const auto& a, const auto& b) { return a.second < b.second; });
  if (choice.num_modules || choice.top_p) {
    if (!list.empty()) list.resize(count_of(choice, list.size()));
  } else if (choice.threshold) {
    std::erase_if(list, [&](const auto& entry) { return !(entry.second <= *choice.threshold); });
  }
  std::vector<std::string> names;
  for (auto& [name, kappa] : list) names.push_back(std::move(name));
  return names;
}

}  // namespace

KappaTuneSelector::KappaTuneSelector(const ModelTree& model, const KappaOptions& options) {
  const at::NoGradGuard no_grad;
  const NamedHead head(model);
  const NamedTensors weights = linear_weights(model);
  const NamedTensors stacks = expert_stacks(model, options.moe_param_suffixes);
  int64_t done = 0;
  const auto advance = [&] {
    if (options.progress) {
      options.progress(++done, static_cast<int64_t>(weights.size() + stacks.size()));
    }
  };
  for (const auto& [name, weight] : weights) {
    if (is_analysed(weight.sizes(), options.max_dim_size_to_analyze)) {
      modules_.emplace_back(name, condition_number(base(weight).detach().to(at::kFloat)));
    }
    advance();
  }
  for (const auto& [name, stack] : stacks) {
    if (is_analysed(stack.sizes().slice(1), options.max_dim_size_to_analyze)) {
      parameters_.emplace_back(name, mean_condition_number(base(stack).detach().to(at::kFloat)));
    }
    advance();
  }
}

std::vector<std::string> KappaTuneSelector::get_best_targets(const KappaChoice& choice) const {
  return best_of(modules_, choice);
}

std::vector<std::string> KappaTuneSelector::get_best_target_parameters(
    const KappaChoice& choice) const {
  return best_of(parameters_, choice);
}

KappaTargets find_kappa_target_modules(const ModelTree& model, double top_p,
                                       const KappaOptions& options) {
  const KappaTuneSelector selector(model, options);
  KappaTargets best{.target_modules = selector.get_best_targets({.top_p = top_p})};
  auto parameters = selector.get_best_target_parameters({.top_p = top_p});
  if (!parameters.empty()) best.target_parameters = std::move(parameters);
  return best;
}

}  // namespace peft
