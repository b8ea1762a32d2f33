#include "peft/offload_index.h"

#include <set>

#include "peft/adapter/file_prefix.h"
#include "peft/base/error.h"
#include "peft/base/file.h"
#include "peft/base/text.h"
#include "peft/formats/safetensors_file.h"
#include "peft/formats/safetensors_writer.h"

namespace peft {
namespace {

namespace fs = std::filesystem;

// Beside the original: a cache folder models--org--name becomes models--org--name-peft.
fs::path renamed_file(const fs::path& file) {
  fs::path renamed;
  bool found = false;
  for (const fs::path& part : file) {
    const bool here = !found && part.string().find("--") != std::string::npos;
    found |= here;
    renamed /= here ? fs::path(part.string() + "-peft") : part;
  }
  if (found) return renamed;
  throw ConfigError(file.string() +
                    ": expected a folder with '--' in its path, as caches of the Hub have, beside "
                    "which the renamed file is written, got none. Keep the base model in a folder "
                    "such as models--org--name.");
}

// "a.lora_A.weight" belongs to the adapter of a name as "a.lora_A.<name>.weight".
std::string with_adapter_name(const std::string& key, const std::string& adapter) {
  const size_t dot = key.rfind('.');
  return key.substr(0, dot) + "." + adapter + key.substr(dot);
}

class Renamer {
 public:
  Renamer(const Tuner& tuner, std::string root, const StateDict& adapter_weights)
      : tuner_(tuner), root_(std::move(root)), adapter_weights_(adapter_weights) {
    for (const ModuleEntry& module : tuner.tree().modules_with_duplicates()) {
      modules_.insert(module.name);
    }
    for (const std::string& name : tuner.targeted_modules()) targeted_.insert(name);
  }

  // Checkpoints spell names with or without the model's outermost module.
  std::string name_in_model(const std::string& key) const {
    for (const std::string& name : {root_ + "." + key, key}) {
      if (modules_.contains(parent_name(name))) return name;
    }
    throw ConfigError("offload index: " + quote(key) +
                      ": expected a weight of one of the model's modules, got another name. The "
                      "index and the model do not belong together.");
  }

  /// The tensors of a file under their new names.
  StateDict renamed(const formats::SafetensorsFile& file) const {
    StateDict tensors;
    for (const auto& [key, tensor] : file.load_all()) {
      const std::string name = name_in_model(key);
      tensors.set(tuner_.file_name(name), tensor);
      if (targeted_.contains(parent_name(name))) add_adapter(parent_name(name), tensors);
    }
    return tensors;
  }

 private:
  void add_adapter(const std::string& module, StateDict& tensors) const {
    const std::string prefix = kFilePrefix + module + ".";
    for (const auto& [key, tensor] : adapter_weights_) {
      if (!key.starts_with(prefix)) continue;
      tensors.set(with_adapter_name(key, tuner_.configs().front().first), tensor);
    }
  }

  const Tuner& tuner_;
  std::string root_;
  const StateDict& adapter_weights_;
  std::set<std::string> modules_, targeted_;
};

}  // namespace

OffloadIndex update_offload(const PeftModel& model, const OffloadIndex& index,
                            const StateDict& adapter_weights) {
  if (index.empty()) return {};
  const Tuner& tuner = model.tuner();
  if (tuner.configs().size() != 1) {
    throw ConfigError("offload index: expected a model with one adapter, got " +
                      std::to_string(tuner.configs().size()) + ".");
  }
  const std::string& first = index.begin()->first;
  const Renamer renamer(tuner, first.substr(0, first.find('.')), adapter_weights);
  OffloadIndex updated;
  std::map<fs::path, fs::path> files;
  for (const auto& [name, entry] : index) {
    renamer.name_in_model(name);
    files.emplace(entry.safetensors_file, renamed_file(entry.safetensors_file));
  }
  for (const auto& [file, target] : files) {
    const formats::SafetensorsFile original(file);
    const StateDict tensors = renamer.renamed(original);
    ensure_folder(target.parent_path());
    formats::write_safetensors(target, tensors, original.header().metadata);
    for (const auto& [name, tensor] : tensors) updated[name] = {target, name};
  }
  return updated;
}

}  // namespace peft
