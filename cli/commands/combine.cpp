#include <fmt/core.h>

#include "cli/commands.h"
#include "cli/named_adapters.h"
#include "peft/base/error.h"

namespace peft::cli {

namespace {

struct CombineCommandOptions {
  NamedAdaptersOptions adapters = {.model = {.device = "cpu"}};
  std::vector<std::string> weights = {};
  std::string combination_type = "svd";
  std::optional<int64_t> svd_rank = {};
  std::optional<double> svd_clamp = {};
  std::optional<double> density = {};
  std::string majority_sign_method = "total";
  int64_t seed = 42;
  std::filesystem::path output_dir = {};

  static void fields(auto& self, auto&& field) {
    NamedAdaptersOptions::fields(self.adapters, field);
    field("weights", self.weights, "A number for each adapter, in their order.", Required{});
    field("combination_type", self.combination_type,
          "linear, svd, cat, ties, ties_svd, dare_linear, dare_ties, dare_linear_svd, "
          "dare_ties_svd, magnitude_prune or magnitude_prune_svd.");
    field("svd_rank", self.svd_rank, "Rank of the result of an svd; none: the adapters' largest.");
    field("svd_clamp", self.svd_clamp, "Quantile that the factors of an svd are clamped to.");
    field("density", self.density, "Share of values that ties, dare and pruning keep.");
    field("majority_sign_method", self.majority_sign_method, "total or frequency, for ties.");
    field("seed", self.seed, "Seed of what dare drops.");
    field("output_dir", self.output_dir, "Folder for the new adapter.", Required{});
  }
};

std::vector<double> numbers(const std::vector<std::string>& words) {
  std::vector<double> values;
  for (const std::string& word : words) {
    size_t used = 0;
    double value = 0;
    try {
      value = std::stod(word, &used);
    } catch (const std::exception&) {
      used = 0;
    }
    if (used == 0 || used != word.size()) {
      throw UsageError(fmt::format("--weights: expected numbers, got '{}'.", word));
    }
    values.push_back(value);
  }
  return values;
}

// The result is saved as "default", whose folder is the output folder itself.
std::vector<NamedAdapter> with_free_default(std::vector<NamedAdapter> adapters) {
  for (NamedAdapter& adapter : adapters) {
    if (adapter.name == "default") adapter.name = "default (given)";
  }
  return adapters;
}

int combine(const CombineCommandOptions& options, Console& console) {
  const auto adapters = with_free_default(options.adapters.adapters());
  if (adapters.empty()) throw UsageError("--adapter is missing: NAME=DIR, one or more.");
  const std::vector<double> weights = numbers(options.weights);
  if (weights.size() != adapters.size()) {
    throw UsageError(fmt::format("--weights: expected {}, one for each --adapter, got {}.",
                                 adapters.size(), weights.size()));
  }
  options.adapters.model.wanted_dtype();
  if (std::filesystem::exists(options.output_dir / "adapter_config.json")) {
    throw Error(
        fmt::format("{}: holds an adapter already: expected a new folder. Name another one.",
                    options.output_dir.string()));
  }
  AdaptedModel model = AdaptedModel::open(options.adapters.model, adapters);
  std::vector<std::string> names;
  for (const NamedAdapter& adapter : adapters) names.push_back(adapter.name);
  at::manual_seed(static_cast<uint64_t>(options.seed));
  model.peft().add_weighted_adapter(names, weights, "default",
                                    {.combination_type = options.combination_type,
                                     .svd_rank = options.svd_rank,
                                     .svd_clamp = options.svd_clamp,
                                     .density = options.density,
                                     .majority_sign_method = options.majority_sign_method});
  model.peft().save_pretrained(options.output_dir, {.selected_adapters = {"default"}});
  console.say(fmt::format("adapter written to {}", options.output_dir.string()));
  return kOk;
}

}  // namespace

Command combine_command() {
  return command<CombineCommandOptions>(
      "combine", "Make one adapter of several, with weights.",
      "--model_name_or_path M --adapter NAME=DIR ... --weights W ... "
      "--combination_type T --output_dir OUT",
      combine);
}

}  // namespace peft::cli
