#include "peft/status.h"

#include <fmt/core.h>

#include <algorithm>
#include <cctype>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "peft/base/error.h"

namespace peft {
namespace {

constexpr const char* kTree = "model.";  // the tuner's child that the base is, in Python

// The names of the modules that are adapted themselves; they live as long as the tuner.
using Targeted = std::unordered_set<std::string_view>;

// In Python what lies below a targeted module has its wrapper in its name.
std::string wrapped_name(std::string_view name, const Targeted& targeted) {
  std::string wrapped = kTree;
  size_t begin = 0;
  for (size_t dot = name.find('.'); dot != name.npos; dot = name.find('.', begin)) {
    wrapped.append(name, begin, dot - begin);
    if (targeted.contains(name.substr(0, dot))) wrapped += ".base_layer";
    wrapped += '.';
    begin = dot + 1;
  }
  return wrapped.append(name.substr(begin));
}

std::string class_of(const Site& site) {
  if (site.by_parameter) return "ParamWrapper";
  switch (site.kind) {
    case SiteKind::kEmbedding:
      return "Embedding";
    case SiteKind::kConvolution:
      return "Conv" + std::to_string(site.weight_shape.size() - 2) + "d";
    case SiteKind::kAttentionInput:
      return "MultiheadAttention";
    default:
      return "Linear";
  }
}

std::string module_type(const Attachment& attachment) {
  if (attachment.beside) return "TrainableTokensLayer";
  std::string name(attachment.method->name);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
  return name + "." + class_of(attachment.found.site);
}

// The adapters of a model, and what the layer that was looked at last has of each. A model has
// thousands of layers' adapters, so that nothing is looked up by name that can be counted.
class AdapterTable {
 public:
  explicit AdapterTable(const Tuner::Configs& configs) : rows_(configs.size()) {
    for (size_t i = 0; i < configs.size(); ++i) {
      rows_[i].name = configs[i].first;
      places_.emplace(rows_[i].name, i);
      by_name_.push_back(i);
    }
    std::sort(by_name_.begin(), by_name_.end(),
              [&](size_t a, size_t b) { return rows_[a].name < rows_[b].name; });
  }

  /// `has` tells whether a layer has an adapter that has no parameter there.
  template <typename Has>
  void describe(const AdapterSlots& slots, const Has& has, TunerLayerStatus& status) {
    for (Row& row : rows_) row.devices = row.learn = row.rest = 0;
    slots.each_parameter([&](const std::string& adapter, const at::Tensor& tensor) {
      Row* row = find(adapter);
      if (row == nullptr) return;
      row->devices |= uint64_t{1} << static_cast<unsigned>(tensor.device().type());
      ++(tensor.requires_grad() ? row->learn : row->rest);
    });
    for (Row& row : rows_) row.here = row.devices != 0 || has(row.name);
    write(status);
  }

 private:
  struct Row {
    std::string name;
    bool here = false;
    uint64_t devices = 0;          // a bit a type
    uint64_t learn = 0, rest = 0;  // how many parameters do
  };

  // Mostly the adapter that was found last, or the next one.
  Row* find(const std::string& adapter) {
    for (size_t i = last_; i < std::min(last_ + 2, rows_.size()); ++i) {
      if (rows_[i].name == adapter) return &rows_[last_ = i];
    }
    const auto found = places_.find(adapter);
    return found == places_.end() ? nullptr : &rows_[last_ = found->second];
  }

  const std::vector<std::string>& device_names(uint64_t devices) {
    std::vector<std::string>& names = device_names_[devices];
    if (!names.empty() || devices == 0) return names;
    for (unsigned type = 0; type < 64; ++type) {
      if ((devices >> type & 1) == 0) continue;
      names.push_back(c10::DeviceTypeName(static_cast<c10::DeviceType>(type), true));
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  void write(TunerLayerStatus& status) {
    status.requires_grad.reserve(rows_.size());
    status.devices.reserve(rows_.size());
    status.available_adapters.reserve(rows_.size());
    for (const Row& row : rows_) {
      if (!row.here) continue;
      status.devices.emplace_back(row.name, device_names(row.devices));
      if (row.learn + row.rest == 0) continue;
      const bool agree = row.learn == 0 || row.rest == 0;
      status.requires_grad.emplace_back(
          row.name, agree ? OrIrregular<bool>(row.learn != 0) : OrIrregular<bool>(Irregular{}));
    }
    for (const size_t i : by_name_) {
      if (rows_[i].here) status.available_adapters.push_back(rows_[i].name);
    }
  }

  std::vector<Row> rows_;  // in the order of the configs
  std::unordered_map<std::string_view, size_t> places_;
  std::vector<size_t> by_name_;
  std::unordered_map<uint64_t, std::vector<std::string>> device_names_;
  size_t last_ = 0;
};

TunerLayerStatus status_of(const Attachment& attachment, const Targeted& targeted,
                           AdapterTable& adapters) {
  const TunerLayer& layer = *attachment.layer;
  const Site& site = layer.site();
  TunerLayerStatus status{
      .name = join_name(wrapped_name(site.module_name, targeted), site.slot_path),
      .module_type = module_type(attachment),
      .enabled = layer.enabled(),
      .active_adapters = layer.active_adapters(),
      .merged_adapters = layer.merged_adapters()};
  adapters.describe(
      layer.slots(), [&](const std::string& name) { return layer.has(name); }, status);
  return status;
}

TunerLayerStatus status_of(const SavedModule& saved, const Targeted& targeted,
                           AdapterTable& adapters) {
  TunerLayerStatus status{.name = wrapped_name(saved.module().name, targeted),
                          .module_type = "ModulesToSaveWrapper",
                          .enabled = saved.enabled()};
  if (!saved.active().empty()) status.active_adapters = {saved.active()};
  adapters.describe(
      saved.slots(), [&](const std::string& name) { return saved.has(name); }, status);
  return status;
}

Targeted targeted_modules(const Tuner& tuner) {
  Targeted targeted;
  for (const Attachment& attachment : tuner.attachments()) {
    if (!attachment.beside) targeted.insert(attachment.found.site.module_name);
  }
  return targeted;
}

// Where each module stands in the tree.
std::unordered_map<std::string, size_t> places_of_modules(const ModelTree& tree) {
  const auto modules = tree.modules();
  std::unordered_map<std::string, size_t> places(modules.size());
  for (const ModuleEntry& module : modules) places.emplace(module.name, places.size());
  return places;
}

}  // namespace

std::vector<TunerLayerStatus> get_layer_status(const Tuner& tuner) {
  if (tuner.is_prompt_learning() || tuner.method().attention != nullptr) {
    throw UnsupportedError(
        fmt::format("get_layer_status: \"{0}\" has no layers of its own: expected a method that "
                    "adapts the layers "
                    "of a model, got \"{0}\". print_trainable_parameters() says what learns.",
                    tuner.method().name));
  }
  if (tuner.attachments().empty() && tuner.saved_modules().empty()) {
    throw ConfigError(
        "get_layer_status: no adapter layers found in the model: expected a model with an adapter, "
        "got one without. Add or load an adapter first.");
  }
  const Targeted targeted = targeted_modules(tuner);
  const auto places = places_of_modules(tuner.tree());
  AdapterTable adapters(tuner.configs());
  std::vector<std::pair<size_t, TunerLayerStatus>> in_order;
  in_order.reserve(tuner.attachments().size() + tuner.saved_modules().size());
  const auto add = [&](const std::string& module, TunerLayerStatus status) {
    const auto found = places.find(module);
    in_order.emplace_back(found == places.end() ? places.size() : found->second, std::move(status));
  };
  for (const Attachment& attachment : tuner.attachments()) {
    add(attachment.found.site.module_name, status_of(attachment, targeted, adapters));
  }
  for (const auto& saved : tuner.saved_modules()) {
    add(saved->module().name, status_of(*saved, targeted, adapters));
  }
  std::stable_sort(in_order.begin(), in_order.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<TunerLayerStatus> layers;
  layers.reserve(in_order.size());
  for (auto& [where, status] : in_order) layers.push_back(std::move(status));
  return layers;
}

}  // namespace peft
