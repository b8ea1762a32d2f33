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
constexpr double kInitializerRange = 0.02;  // where the config names none

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

// The keys under which a checkpoint may have a parameter, the likeliest first.
std::vector<std::string> keys_of(const std::string& parameter, const std::string& base) {
  std::vector<std::string> keys{parameter};
  if (!base.empty()) {
    const auto prefix = base + ".";
    keys.push_back(parameter.starts_with(prefix) ? parameter.substr(prefix.size())
                                                 : prefix + parameter);
  }
  return keys;
}

const WeightSource::Entry* find(const Entries& entries, const std::string& parameter,
                                const std::string& base) {
  for (const auto& key : keys_of(parameter, base)) {
    if (const auto found = entries.find(key); found != entries.end()) return found->second;
  }
  return nullptr;
}

void check_shape(const std::string& name, const at::Tensor& parameter,
                 const WeightSource::Entry& entry) {
  if (parameter.sizes() == at::IntArrayRef(entry.shape)) return;
  throw MismatchError(fmt::format(
      "checkpoint: {}: wrong shape: expected [{}] from config.json, got [{}] in the file. "
      "Check that config.json belongs to these weights.",
      name, fmt::join(parameter.sizes(), ", "), fmt::join(entry.shape, ", ")));
}

struct Plan {
  std::vector<Placed> placed;
  std::vector<at::Tensor> fresh;  // of the head, not in the checkpoint
};

Plan make_plan(PretrainedModelImpl& model, const WeightSource& source, LoadReport& report) {
  Entries entries;
  for (const auto& entry : source.entries) entries.emplace(model.renamed_key(entry.name), &entry);
  Plan plan;
  std::vector<std::string> missing;
  std::unordered_map<const WeightSource::Entry*, bool> used;
  const auto take = [&](const std::string& name, const at::Tensor& tensor) {
    const auto* entry = find(entries, name, model.base_model_prefix());
    if (entry == nullptr) return false;
    check_shape(name, tensor, *entry);
    plan.placed.push_back({tensor, entry});
    report.placed[name] = entry->name;
    used[entry] = true;
    return true;
  };
  for (const auto& item : model.named_parameters()) {
    if (take(item.key(), item.value())) continue;
    if (model.may_lack(item.key())) {
      plan.fresh.push_back(item.value());
      report.initialised.push_back(item.key());
    } else {
      missing.push_back(item.key());
    }
  }
  if (!missing.empty()) {
    throw MismatchError(fmt::format(
        "checkpoint: keys are missing: expected {} parameters, got none for {}: {}. Check that "
        "config.json belongs to these weights.",
        plan.placed.size() + missing.size(), missing.size(), listed(missing)));
  }
  for (const auto& item : model.named_buffers()) take(item.key(), item.value());
  for (const auto& entry : source.entries) {
    if (!used.contains(&entry) && !model.may_ignore(model.renamed_key(entry.name))) {
      report.unexpected.push_back(entry.name);
    }
  }
  return plan;
}

const WeightSource::Entry* find(const PretrainedModelImpl& model, const WeightSource& source,
                                const std::string& parameter) {
  Entries entries;
  for (const auto& entry : source.entries) entries.emplace(model.renamed_key(entry.name), &entry);
  return find(entries, parameter, model.base_model_prefix());
}

std::string name_of(const PretrainedModelImpl& model, const at::Tensor& parameter) {
  for (const auto& item : model.named_parameters()) {
    if (item.value().is_same(parameter)) return item.key();
  }
  return {};
}

// A config may say that the head is the embedding where the file has two weights that differ.
// Source: PreTrainedModel.tie_weights in transformers/modeling_utils.py.
void take_own_head(PretrainedModelImpl& model, const WeightSource& source) {
  const auto weight = model.head_weight();
  const auto head = model.head_name() + ".weight";
  if (!weight.defined() || model.named_parameters().contains(head)) return;
  const auto* own = find(model, source, head);
  const auto* embedding = find(model, source, name_of(model, weight));
  if (own == nullptr || embedding == nullptr || own->shape != embedding->shape) return;
  const auto dtype = weight.scalar_type();
  if (source.read(own->name, dtype).equal(source.read(embedding->name, dtype))) return;
  model.untie_head(at::empty_like(weight));
}

// Source: PreTrainedModel._init_weights in transformers/modeling_utils.py.
void initialise(const at::Tensor& parameter, const Json& config) {
  at::NoGradGuard no_grad;
  if (parameter.dim() < 2) {
    parameter.zero_();
    return;
  }
  const auto range = config.find("initializer_range");
  parameter.normal_(
      0.0, range != config.end() && range->is_number() ? range->get<double>() : kInitializerRange);
}

}  // namespace

LoadReport load_weights(PretrainedModelImpl& model, const WeightSource& source) {
  LoadReport report;
  model.meet(source);
  take_own_head(model, source);
  const auto [placed, fresh] = make_plan(model, source, report);
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
  for (const auto& parameter : fresh) initialise(parameter, model.config());
  return report;
}

}  // namespace peft
