#include "peft/adapter_folder.h"

#include <optional>

#include "peft/base/error.h"
#include "peft/base/file.h"
#include "peft/base/json_text.h"
#include "peft/base/warnings.h"
#include "peft/formats/safetensors_file.h"
#include "peft/formats/safetensors_writer.h"
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
Json file_config(const Tuner& tuner, const std::string& adapter) {
  PeftConfig config = tuner.config(adapter);
  SharedFields fields = config.shared();
  if (fields.inference_mode) *fields.inference_mode = true;
  if (fields.base_model_name_or_path && !*fields.base_model_name_or_path) {
    *fields.base_model_name_or_path = tuner.facts().name_or_path;
  }
  if (fields.auto_mapping && fields.task_type && !*fields.task_type) {
    *fields.auto_mapping =
        Json{{"base_model_class", tuner.tree().class_name()}, {"parent_library", "peft_cpp"}};
  }
  return config.to_json();
}

// The vocabulary of the base model on disk; nullopt where its folder cannot be read.
std::optional<int64_t> vocabulary_on_disk(const fs::path& base) {
  std::error_code error;
  if (!fs::exists(base / "config.json", error)) {
    if (!fs::is_regular_file(base, error)) {
      warn("Could not find a config file in " + base.string() +
           " - will assume that the vocabulary was not modified.");
    }
    return std::nullopt;
  }
  const Json config = read_json_file(base / "config.json");
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
    throw UnsupportedError((folder / kPickleName).string() + ": expected " + kWeightsName +
                           ", got pickled weights, which this library does not open. Save the "
                           "adapter again with safe_serialization=True.");
  }
  return formats::SafetensorsFile(path).load_all();
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

void write_adapter_folder(const Tuner& tuner, const fs::path& folder,
                          const AdapterFolderOptions& options) {
  std::vector<std::string> names = options.adapters;
  if (names.empty()) {
    for (const auto& [name, config] : tuner.configs()) names.push_back(name);
  }
  for (const std::string& name : names) tuner.config(name);
  make_folder(folder);
  if (options.is_main_process) create_or_update_model_card(tuner, folder);
  for (const std::string& name : names) {
    const fs::path place = name == "default" ? folder : folder / name;
    make_folder(place);
    if (!options.is_main_process) continue;
    formats::write_safetensors(
        place / kWeightsName,
        tuner.state(name, state_options(tuner, name, options.save_embedding_layers)));
    write_file_atomically(place / kConfigName,
                          dump_json(file_config(tuner, name), {.sort_keys = true}));
  }
}

}  // namespace peft
