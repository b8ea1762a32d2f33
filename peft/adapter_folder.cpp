#include "peft/adapter_folder.h"

#include <map>
#include <optional>

#include "peft/base/error.h"
#include "peft/base/file.h"
#include "peft/base/json_text.h"
#include "peft/base/warnings.h"
#include "peft/formats/safetensors_file.h"
#include "peft/formats/safetensors_writer.h"
#include "peft/formats/torch_checkpoint_file.h"
#include "peft/hub/resolve.h"
#include "peft/methods/registry.h"
#include "peft/model_card.h"
#include "peft/peft_model.h"

namespace peft {
namespace {

namespace fs = std::filesystem;

constexpr const char* kConfigName = "adapter_config.json";
constexpr const char* kWeightsName = "adapter_model.safetensors";
constexpr const char* kPickleName = "adapter_model.bin";

void make_folder(const fs::path& folder) {
  std::error_code error;
  if (fs::exists(folder, error) && !fs::is_directory(folder, error)) {
    throw ConfigError(folder.string() +
                      ": expected a folder to save in, got a file. Name another "
                      "place.");
  }
  fs::create_directories(folder, error);
  if (error) throw IoError(folder.string() + ": cannot make the folder: " + error.message() + ".");
}

// The file always says inference_mode true: whoever loads it decides anew.
PeftConfig file_config(const Tuner& tuner, PeftConfig config) {
  SharedFields fields = config.shared();
  if (fields.inference_mode) *fields.inference_mode = true;
  if (fields.base_model_name_or_path && !*fields.base_model_name_or_path) {
    *fields.base_model_name_or_path = tuner.facts().name_or_path;
  }
  if (fields.auto_mapping && fields.task_type && !*fields.task_type) {
    *fields.auto_mapping =
        Json{{"base_model_class", tuner.tree().class_name()}, {"parent_library", "peft_cpp"}};
  }
  return config;
}

void write_weights(const fs::path& folder, const StateDict& tensors, bool safe_serialization) {
  const fs::path safe = folder / kWeightsName, pickled = folder / kPickleName;
  if (safe_serialization) {
    formats::write_safetensors(safe, tensors);
  } else {
    formats::write_torch_file(pickled, tensors);
  }
  const fs::path& other = safe_serialization ? pickled : safe;
  std::error_code error;
  fs::remove(other, error);
  if (error)
    throw IoError(other.string() + ": cannot remove the older weights: " + error.message() + ".");
}

// The config of the base model: in its folder, or where the cache has it for a name on the Hub.
// Saving asks nothing of the network.
std::optional<fs::path> config_on_disk(const fs::path& base) {
  std::error_code error;
  if (fs::exists(base / "config.json", error)) return base / "config.json";
  if (fs::exists(base, error)) return std::nullopt;
  try {
    return hub::cached_file(base, "config.json", hub::settings_from_environment());
  } catch (const ConfigError& wrong_settings) {
    warn(std::string(wrong_settings.what()) + " The cache is not looked into.");
    return std::nullopt;
  }
}

// The vocabulary of the base model on disk; nullopt where its config cannot be found.
std::optional<int64_t> vocabulary_on_disk(const fs::path& base) {
  const auto path = config_on_disk(base);
  if (!path) {
    std::error_code error;
    if (!fs::is_regular_file(base, error)) {
      warn("Could not find a config file in " + base.string() +
           " - will assume that the vocabulary was not modified.");
    }
    return std::nullopt;
  }
  const Json config = read_json_file(*path);
  const auto size = config.find("vocab_size");
  if (size == config.end() || !size->is_number_integer()) return std::nullopt;
  return size->get<int64_t>();
}

}  // namespace

PeftConfig read_adapter_config(const fs::path& folder) {
  const fs::path path = folder / kConfigName;
  return parse_config(read_json_file(path), path.string());
}

StateDict read_adapter_weights(const fs::path& folder) {
  const fs::path path = folder / kWeightsName;
  if (!fs::exists(path) && fs::exists(folder / kPickleName)) {
    return formats::read_torch_file(folder / kPickleName);
  }
  return formats::SafetensorsFile(path).load_all();
}

std::pair<PeftConfig, StateDict> converted_adapter(const PeftConfig& config,
                                                   const StateDict& trained,
                                                   const fs::path& initial) {
  const Method& method = find_method(config.peft_type());
  if (method.subtract_initial == nullptr) {
    throw UnsupportedError(
        "path_initial_model_for_weight_conversion: expected an adapter of a method that can be "
        "converted, as LORA, got " +
        std::string(method.name) + ". Save the adapter without it.");
  }
  return method.subtract_initial(config, trained, read_adapter_weights(initial));
}

void write_adapter(const fs::path& folder, const PeftConfig& config, const StateDict& tensors,
                   bool safe_serialization) {
  make_folder(folder);
  write_weights(folder, tensors, safe_serialization);
  write_file_atomically(folder / kConfigName, dump_json(config.to_json(), {.sort_keys = true}));
}

StateOptions state_options(const Tuner& tuner, const std::string& adapter,
                           SaveEmbeddingLayers embeddings) {
  StateOptions options{.save_embedding_layers = embeddings};
  const std::optional<int64_t> now = tuner.facts().vocab_size;
  if (embeddings != SaveEmbeddingLayers::kAuto || !now) return options;
  const auto* named = tuner.config(adapter).shared().base_model_name_or_path;
  if (named == nullptr || !*named || (*named)->empty()) return options;
  const std::optional<int64_t> before = vocabulary_on_disk(**named);
  options.vocabulary_grew = before && *before != *now;
  return options;
}

StateDict adapter_state(const Tuner& tuner, const std::string& adapter,
                        SaveEmbeddingLayers embeddings) {
  StateDict state = tuner.state(adapter, state_options(tuner, adapter, embeddings));
  if (tuner.method().warn_of_state) tuner.method().warn_of_state(adapter, state);
  return state;
}

namespace {

/// What is written of one adapter.
std::pair<PeftConfig, StateDict> written_form(const Tuner& tuner, const std::string& name,
                                              const AdapterFolderOptions& options) {
  StateDict state = adapter_state(tuner, name, options.save_embedding_layers);
  if (!options.initial) return {tuner.config(name), std::move(state)};
  return converted_adapter(tuner.config(name), state, *options.initial);
}

}  // namespace

void write_adapter_folder(const Tuner& tuner, const fs::path& folder,
                          const AdapterFolderOptions& options) {
  std::vector<std::string> names = options.adapters;
  if (names.empty()) {
    for (const auto& [name, config] : tuner.configs()) names.push_back(name);
  }
  for (const std::string& name : names) tuner.config(name);
  // Everything that may be refused is made before the first file is written.
  std::map<std::string, std::pair<PeftConfig, StateDict>> forms;
  if (options.is_main_process) {
    for (const std::string& name : names) forms.emplace(name, written_form(tuner, name, options));
  }
  make_folder(folder);
  if (options.is_main_process) create_or_update_model_card(tuner, folder);
  for (const std::string& name : names) {
    const fs::path place = name == "default" ? folder : folder / name;
    if (!options.is_main_process) {
      make_folder(place);
      continue;
    }
    const auto& [config, tensors] = forms.at(name);
    write_adapter(place, file_config(tuner, config), tensors, options.safe_serialization);
  }
}

}  // namespace peft
