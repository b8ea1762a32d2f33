#include "peft/adapter_folder.h"

#include <map>

#include "peft/base/error.h"
#include "peft/base/file.h"
#include "peft/base/json_text.h"
#include "peft/base/text.h"
#include "peft/formats/safetensors_file.h"
#include "peft/formats/safetensors_writer.h"
#include "peft/formats/torch_checkpoint_file.h"
#include "peft/methods/registry.h"
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

std::string model_card(const Tuner& tuner) {
  std::string name;
  if (!tuner.configs().empty()) {
    const auto* given = tuner.configs().front().second.shared().base_model_name_or_path;
    if (given && *given) name = **given;
  }
  const std::string method = lower_case(std::string(tuner.method().name));
  std::string text = "---\n";
  if (!name.empty()) text += "base_model: " + dump_json(name) + "\n";
  text += "library_name: peft\n";
  if (tuner.facts().is_pretrained) text += "pipeline_tag: text-generation\n";
  text += "tags:\n";
  if (!name.empty()) text += "- " + dump_json("base_model:adapter:" + name) + "\n";
  text += "- " + method + "\n";
  if (tuner.facts().is_pretrained) text += "- transformers\n";
  return text + "---\n\n# Adapter\n\nA " + std::string(tuner.method().name) +
         " adapter in the file format of PEFT.\n\n### Framework versions\n\n- PEFT " +
         std::string(kPeftVersion) + "\n";
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

void write_adapter_folder(const Tuner& tuner, const fs::path& folder,
                          const std::vector<std::string>& adapters, bool safe_serialization,
                          const std::optional<fs::path>& initial) {
  std::vector<std::string> names = adapters;
  if (names.empty()) {
    for (const auto& [name, config] : tuner.configs()) names.push_back(name);
  }
  for (const std::string& name : names) tuner.config(name);
  std::map<std::string, std::pair<PeftConfig, StateDict>> converted;
  if (initial) {
    for (const std::string& name : names) {
      converted.emplace(name, converted_adapter(tuner.config(name), tuner.state(name), *initial));
    }
  }
  make_folder(folder);
  if (!fs::exists(folder / "README.md")) {
    write_file_atomically(folder / "README.md", model_card(tuner));
  }
  for (const std::string& name : names) {
    const fs::path place = name == "default" ? folder : folder / name;
    const auto plain = converted.find(name);
    const bool as_it_is = plain == converted.end();
    const PeftConfig& config = as_it_is ? tuner.config(name) : plain->second.first;
    write_adapter(place, file_config(tuner, config),
                  as_it_is ? tuner.state(name) : plain->second.second, safe_serialization);
  }
}

}  // namespace peft
