#include "peft/arrow_model.h"

#include <set>

#include "peft/adapter/matching.h"
#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/methods/lora/layer.h"

namespace peft {
namespace {

namespace fs = std::filesystem;

constexpr const char* kRouter = "arrow_router";

struct ArrowSource {
  fs::path folder;
  AdapterSource source;
};

std::vector<std::string> numbered(const char* prefix, size_t count) {
  std::vector<std::string> names;
  for (size_t i = 0; i < count; ++i) names.push_back(prefix + std::to_string(i));
  return names;
}

// A repository's name has two parts; what follows is a folder in it.
ArrowSource arrow_source(const fs::path& given, AdapterSource source) {
  std::error_code error;
  if (fs::exists(given, error)) return {.folder = given, .source = std::move(source)};
  std::vector<std::string> parts = split(given.string(), '/');
  std::erase(parts, "");
  if (parts.size() <= 2) return {.folder = given, .source = std::move(source)};
  const std::vector<std::string> below(parts.begin() + 2, parts.end());
  if (source.subfolder.empty()) source.subfolder = join(below, "/");
  return {.folder = parts[0] + "/" + parts[1], .source = std::move(source)};
}

void check_folder(const fs::path& given, const AdapterSource& source) {
  std::error_code error;
  const fs::path place = source.subfolder.empty() ? given : given / source.subfolder;
  if (!fs::is_directory(given, error) ||
      fs::is_regular_file(place / "adapter_config.json", error)) {
    return;
  }
  throw NotFoundError("create_arrow_model: " + quote(place.string()) +
                      ": expected the folder of an adapter, got one that does not contain "
                      "'adapter_config.json'. Name the folder that save_pretrained wrote.");
}

void load_adapters(PeftModel& model, const std::vector<fs::path>& folders,
                   const std::vector<std::string>& names, size_t first,
                   LoadAdapterOptions options) {
  const AdapterSource shared = options.source;
  for (size_t i = first; i < folders.size(); ++i) {
    const ArrowSource found = arrow_source(folders[i], shared);
    options.source = found.source;
    model.load_adapter(found.folder, names[i], options);
  }
}

// The layers of LoRA's own with their sites.
std::vector<const lora::LoraLayer*> layers_of(const Tuner& tuner) {
  std::vector<const lora::LoraLayer*> layers;
  for (const Attachment& attachment : tuner.attachments()) {
    if (attachment.beside) continue;
    if (const auto* layer = dynamic_cast<const lora::LoraLayer*>(attachment.layer.get())) {
      layers.push_back(layer);
    }
  }
  return layers;
}

std::set<std::string> targets_of_adapter(const Tuner& tuner, const std::string& adapter) {
  std::set<std::string> targets;
  for (const lora::LoraLayer* layer : layers_of(tuner)) {
    if (layer->has(adapter)) targets.insert(last_part(layer->site().module_name));
  }
  return targets;
}

[[noreturn]] void throw_difference(const std::string& where, const std::string& what,
                                   const std::string& expected, const std::string& got) {
  throw ConfigError("create_arrow_model: " + where + ": " + what + " mismatch: expected " +
                    expected + ", as the first adapter has, got " + got +
                    ". Use adapters that were trained with the same settings.");
}

// Of what all of them have on one layer.
void check_same_shapes(const lora::LoraLayer& layer, const std::vector<std::string>& names) {
  const lora::LoraAdapter* first = nullptr;
  for (const std::string& name : names) {
    if (!layer.has(name)) continue;
    const lora::LoraAdapter& adapter = layer.adapter(name);
    if (first == nullptr) first = &adapter;
    const std::string where = "adapter " + quote(name) + " on " + layer.parameter_name();
    if (adapter.a.size(0) != first->a.size(0)) {
      throw_difference(where, "rank", std::to_string(first->a.size(0)),
                       std::to_string(adapter.a.size(0)));
    }
    if (adapter.a.sizes() != first->a.sizes() || adapter.b.sizes() != first->b.sizes()) {
      throw_difference(where, "shape", shape_text(first->a.sizes().vec()),
                       shape_text(adapter.a.sizes().vec()));
    }
  }
}

// Throws unless they are of one rank and shape, on modules of the same names, all of them linear.
// Source: check_loaded_lora_compatibility_arrow, ensure_adapters_target_linear_layers_only.
void check_compatible(const Tuner& tuner, const std::vector<std::string>& names) {
  const std::set<std::string> targets = targets_of_adapter(tuner, names.front());
  for (const lora::LoraLayer* layer : layers_of(tuner)) check_same_shapes(*layer, names);
  for (const std::string& name : names) {
    const std::set<std::string> own = targets_of_adapter(tuner, name);
    if (own == targets) continue;
    throw_difference("adapter " + quote(name), "target_modules",
                     join_names({targets.begin(), targets.end()}),
                     join_names({own.begin(), own.end()}));
  }
  for (const lora::LoraLayer* layer : layers_of(tuner)) {
    const Site& site = layer->site();
    const bool linear = site.kind == SiteKind::kLinear || site.kind == SiteKind::kTransposedLinear;
    if (linear && !site.by_parameter) continue;
    throw ConfigError("create_arrow_model: " + layer->parameter_name() +
                      ": LoRA adapters must only target linear layers: expected a Linear or a "
                      "Conv1D as GPT-2 has it, got a " +
                      site.module_class + ". Train the adapters without this layer.");
  }
}

int64_t rank_of(const Tuner& tuner, const std::string& adapter) {
  int64_t rank = 0;
  for (const lora::LoraLayer* layer : layers_of(tuner)) {
    if (layer->has(adapter)) rank = layer->adapter(adapter).a.size(0);
  }
  return rank;
}

}  // namespace

namespace detail {

ArrowBeginning arrow_beginning(const ArrowAdapters& adapters, const ArrowConfig& arrow_config,
                               const LoadAdapterOptions& options) {
  if (adapters.tasks.empty()) {
    throw ConfigError(
        "create_arrow_model: tasks: expected at least one adapter path, got none. Name the "
        "folders of the task adapters.");
  }
  if (arrow_config.use_gks && adapters.general.empty()) {
    throw ConfigError(
        "create_arrow_model: general: expected general LoRA paths for GenKnowSub (use_gks), got "
        "none. Name their folders, or set use_gks to false.");
  }
  ArrowConfig::parse(arrow_config.to_json());
  for (const fs::path& folder : adapters.tasks) check_folder(folder, options.source);
  if (arrow_config.use_gks) {
    for (const fs::path& folder : adapters.general) check_folder(folder, options.source);
  }
  const ArrowSource first = arrow_source(adapters.tasks.front(), options.source);
  return {.folder = first.folder,
          .options = {.adapter_name = "task_0",
                      .is_trainable = options.is_trainable,
                      .autocast_adapter_dtype = options.autocast_adapter_dtype,
                      .low_cpu_mem_usage = options.low_cpu_mem_usage,
                      .source = first.source,
                      .strict = options.strict,
                      .ignore_mismatched_sizes = options.ignore_mismatched_sizes}};
}

void complete_arrow_model(PeftModel& model, const ArrowAdapters& adapters,
                          const ArrowConfig& arrow_config, const LoadAdapterOptions& options) {
  if (model.peft_type() != "LORA") {
    throw ConfigError("create_arrow_model: expected adapters of LoRA, got " + model.peft_type() +
                      ". Use adapters whose peft_type is LORA.");
  }
  ArrowConfig config = arrow_config;
  std::vector<std::string> names = numbered("task_", adapters.tasks.size());
  config.task_adapter_names = names;
  config.gks_adapter_names.emplace();
  load_adapters(model, adapters.tasks, names, 1, options);
  if (config.use_gks) {
    const auto general = numbered("gks_", adapters.general.size());
    config.gks_adapter_names = general;
    load_adapters(model, adapters.general, general, 0, options);
    names.insert(names.end(), general.begin(), general.end());
  }
  check_compatible(model.tuner(), names);
  const std::set<std::string> targets = targets_of_adapter(model.tuner(), names.front());
  LoraConfig router{.r = rank_of(model.tuner(), names.front()),
                    .target_modules = std::vector<std::string>(targets.begin(), targets.end())};
  router.arrow_config = config.to_json();
  model.add_adapter(kRouter, router);
  model.set_adapter(kRouter);
}

}  // namespace detail
}  // namespace peft
