#include "peft/models/common/load_weights.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <unordered_map>

#include "peft/base/error.h"

namespace peft {
namespace {

constexpr size_t kNamesShown = 10;
constexpr std::string_view kBasePrefix = "model.";

struct Placed {
  at::Tensor parameter;
  const WeightSource::Entry* entry = nullptr;
};

std::string listed(const std::vector<std::string>& names) {
  const auto shown = std::min(names.size(), kNamesShown);
  auto text = fmt::format("{}", fmt::join(names.begin(), names.begin() + shown, ", "));
  if (names.size() > shown) text += fmt::format(" and {} more", names.size() - shown);
  return text;
}

using Entries = std::unordered_map<std::string, const WeightSource::Entry*>;

const WeightSource::Entry* find(const Entries& entries, const std::string& name) {
  auto found = entries.find(name);
  if (found == entries.end() && name.starts_with(kBasePrefix)) {
    found = entries.find(name.substr(kBasePrefix.size()));
  }
  return found == entries.end() ? nullptr : found->second;
}

void check_shape(const std::string& name, const at::Tensor& parameter,
                 const WeightSource::Entry& entry) {
  if (parameter.sizes() == at::IntArrayRef(entry.shape)) return;
  throw MismatchError(fmt::format(
      "checkpoint: {}: wrong shape: expected [{}] from config.json, got [{}] in the file. "
      "Check that config.json belongs to these weights.",
      name, fmt::join(parameter.sizes(), ", "), fmt::join(entry.shape, ", ")));
}

std::vector<Placed> place(torch::nn::Module& model, const WeightSource& source,
                          LoadReport& report) {
  Entries entries;
  for (const auto& entry : source.entries) entries.emplace(entry.name, &entry);
  std::vector<Placed> placed;
  std::vector<std::string> missing;
  std::unordered_map<const WeightSource::Entry*, bool> used;
  for (const auto& item : model.named_parameters()) {
    const auto* entry = find(entries, item.key());
    if (entry == nullptr) {
      missing.push_back(item.key());
      continue;
    }
    check_shape(item.key(), item.value(), *entry);
    placed.push_back({item.value(), entry});
    used[entry] = true;
  }
  if (!missing.empty()) {
    throw MismatchError(fmt::format(
        "checkpoint: keys are missing: expected {} parameters, got none for {}: {}. Check that "
        "config.json belongs to these weights.",
        placed.size() + missing.size(), missing.size(), listed(missing)));
  }
  for (const auto& entry : source.entries) {
    if (!used.contains(&entry)) report.unexpected.push_back(entry.name);
  }
  return placed;
}

}  // namespace

LoadReport load_weights(torch::nn::Module& model, const WeightSource& source) {
  LoadReport report;
  const auto placed = place(model, source, report);
  std::vector<at::Tensor> values(placed.size());
  at::parallel_for(0, static_cast<int64_t>(placed.size()), 1, [&](int64_t begin, int64_t end) {
    at::NoGradGuard no_grad;
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      const auto& parameter = placed[i].parameter;
      auto value = source.read(placed[i].entry->name, parameter.scalar_type());
      check_shape(placed[i].entry->name, value, *placed[i].entry);
      values[i] = value.to(parameter.options()).contiguous();
    }
  });
  for (size_t i = 0; i < placed.size(); ++i) {
    auto parameter = placed[i].parameter;
    parameter.set_data(values[i]);
  }
  return report;
}

}  // namespace peft
