#include "peft/formats/folder_checkpoint.h"

#include <fmt/format.h>

#include <map>
#include <set>

#include "peft/base/error.h"
#include "peft/base/file.h"
#include "peft/base/json_text.h"
#include "peft/base/text.h"
#include "peft/tensor/dtype.h"

namespace peft::formats {
namespace fs = std::filesystem;
namespace {

constexpr const char* kSingle = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";

// The shards that an index names, each a plain file name: an index may not point out of its folder.
std::set<std::string> shard_names(const fs::path& index) {
  const Json json = read_json_file(index);
  const auto map = json.is_object() ? json.find("weight_map") : json.end();
  if (!json.is_object() || map == json.end() || !map->is_object()) {
    throw FormatError(
        fmt::format("{}: expected an object with weight_map, got none.", index.string()));
  }
  std::set<std::string> names;
  for (const auto& [tensor, file] : map->items()) {
    if (!file.is_string() || file.get_ref<const std::string&>().empty() ||
        file.get_ref<const std::string&>().find('/') != std::string::npos) {
      throw FormatError(
          fmt::format("{}: tensor {}: expected the name of a file in the same folder, got {}.",
                      index.string(), quote(tensor), file.dump()));
    }
    names.insert(file.get<std::string>());
  }
  return names;
}

}  // namespace

FolderCheckpoint::FolderCheckpoint(const fs::path& folder) : folder_(folder) {
  const fs::path config = folder / "config.json";
  if (!fs::exists(config)) {
    throw NotFoundError(
        fmt::format("{}: expected a checkpoint folder with config.json, got none. "
                    "Name the folder of a model, or a .gguf file.",
                    folder.string()));
  }
  config_ = read_json_file(config);
  if (!config_.is_object()) {
    throw FormatError(
        fmt::format("{}: expected a JSON object, got another value.", config.string()));
  }
  open_shards();
  list_tensors();
}

void FolderCheckpoint::open_shards() {
  if (fs::exists(folder_ / kSingle)) {
    files_.emplace_back(folder_ / kSingle);
  } else if (fs::exists(folder_ / kIndex)) {
    for (const std::string& name : shard_names(folder_ / kIndex)) {
      if (!fs::exists(folder_ / name)) {
        throw NotFoundError(
            fmt::format("{}: the shard {} is missing, which {} lists. Fetch it again.",
                        folder_.string(), quote(name), kIndex));
      }
      files_.emplace_back(folder_ / name);
    }
  } else {
    throw NotFoundError(fmt::format(
        "{}: expected weights in {} or {}, got neither. Convert other weights with transformers' "
        "save_pretrained.",
        folder_.string(), kSingle, kIndex));
  }
}

void FolderCheckpoint::list_tensors() {
  for (size_t i = 0; i < files_.size(); i++) {
    for (const auto& entry : files_[i].header().tensors) {
      if (!file_of_.emplace(entry.name, i).second) {
        throw FormatError(fmt::format("{}: tensor {} is in two shards.", files_[i].path().string(),
                                      quote(entry.name)));
      }
      tensors_.push_back({.name = entry.name,
                          .shape = entry.shape,
                          .dtype = entry.dtype,
                          .bytes = entry.end - entry.begin,
                          .file = files_[i].path()});
    }
  }
}

at::Tensor FolderCheckpoint::load(const std::string& name,
                                  std::optional<at::ScalarType> dtype) const {
  const auto place = file_of_.find(name);
  if (place == file_of_.end()) {
    std::vector<std::string> names;
    for (const auto& info : tensors_) names.push_back(info.name);
    throw NotFoundError(fmt::format("{}: there is no tensor {}. Closest names: {}.",
                                    folder_.string(), quote(name),
                                    join_names(closest_names(name, names))));
  }
  return files_[place->second].load(name, dtype);
}

std::optional<at::ScalarType> FolderCheckpoint::dtype() const {
  std::map<std::string, uint64_t> bytes;
  for (const auto& info : tensors_) bytes[info.dtype] += info.bytes;
  std::optional<at::ScalarType> best;
  uint64_t most = 0;
  for (const auto& [word, size] : bytes) {
    const auto dtype = dtype_from_safetensors(word);
    if (dtype && at::isFloatingType(*dtype) && size > most) best = dtype, most = size;
  }
  return best;
}

std::optional<std::string> FolderCheckpoint::chat_template() const {
  if (fs::exists(folder_ / "chat_template.jinja")) {
    return read_text_file(folder_ / "chat_template.jinja");
  }
  const Json config = tokenizer_config();
  if (!config.is_object() || !config.contains("chat_template")) return std::nullopt;
  const Json& value = config["chat_template"];
  if (value.is_string()) return value.get<std::string>();
  // Older files hold several, by name: [{"name": "default", "template": "..."}].
  if (value.is_array()) {
    for (const Json& entry : value) {
      if (entry.is_object() && entry.value("name", "") == "default")
        return entry.value("template", "");
    }
  }
  return std::nullopt;
}

std::optional<fs::path> FolderCheckpoint::tokenizer_file() const {
  const fs::path file = folder_ / "tokenizer.json";
  return fs::exists(file) ? std::optional(file) : std::nullopt;
}

Json FolderCheckpoint::read_companion(const char* name) const {
  const fs::path file = folder_ / name;
  return fs::exists(file) ? read_json_file(file) : Json(nullptr);
}

}  // namespace peft::formats
