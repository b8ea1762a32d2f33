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

// From tensor to shard, each a plain file name: an index may not point out of its folder.
std::map<std::string, std::string> read_index(const fs::path& index) {
  const Json json = read_json_file(index);
  const auto map = json.is_object() ? json.find("weight_map") : json.end();
  if (!json.is_object() || map == json.end() || !map->is_object()) {
    throw FormatError(fmt::format(
        "{}: expected an object with weight_map, got none. Fetch the file again.", index.string()));
  }
  std::map<std::string, std::string> shard_of;
  for (const auto& [tensor, file] : map->items()) {
    if (!file.is_string() || file.get_ref<const std::string&>().empty() ||
        file.get_ref<const std::string&>().find('/') != std::string::npos) {
      throw FormatError(fmt::format(
          "{}: tensor {}: expected the name of a file in the same folder, got {}. "
          "Fetch the file again.",
          index.string(), quote(tensor),
          file.is_string() ? quote(file.get_ref<const std::string&>()) : "another value"));
    }
    shard_of.emplace(tensor, file.get<std::string>());
  }
  return shard_of;
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
    throw FormatError(fmt::format(
        "{}: expected a JSON object, got another value. Fetch the file again.", config.string()));
  }
  open_weights();
}

void FolderCheckpoint::open_weights() {
  if (fs::exists(folder_ / kSingle)) {
    files_.emplace_back(folder_ / kSingle);
    list_tensors();
  } else if (fs::exists(folder_ / kIndex)) {
    open_shards(read_index(folder_ / kIndex));
  } else {
    throw NotFoundError(fmt::format(
        "{}: expected weights in {} or {}, got neither. Convert other weights with transformers' "
        "save_pretrained.",
        folder_.string(), kSingle, kIndex));
  }
}

void FolderCheckpoint::open_shards(const std::map<std::string, std::string>& shard_of) {
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : shard_of) shards.insert(shard);
  for (const std::string& shard : shards) {
    if (!fs::exists(folder_ / shard)) {
      throw NotFoundError(
          fmt::format("{}: the shard {} is missing, which {} lists. Fetch it again.",
                      folder_.string(), quote(shard), kIndex));
    }
    files_.emplace_back(folder_ / shard);
  }
  list_tensors();
  for (const auto& [tensor, shard] : shard_of) {
    if (file_of_.contains(tensor)) continue;
    throw FormatError(
        fmt::format("{}: tensor {}: expected it in this file as {} says, got no such tensor. The "
                    "shards may come from two downloads: fetch all of them again.",
                    (folder_ / shard).string(), quote(tensor), kIndex));
  }
}

void FolderCheckpoint::list_tensors() {
  for (size_t i = 0; i < files_.size(); i++) {
    for (const auto& entry : files_[i].header().tensors) {
      if (!file_of_.emplace(entry.name, i).second) {
        throw FormatError(fmt::format(
            "{}: tensor {}: expected it in one shard, got it in {} too. The shards may come from "
            "two downloads: fetch all of them again.",
            files_[i].path().string(), quote(entry.name),
            files_[file_of_.at(entry.name)].path().filename().string()));
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
      const Json name = entry.is_object() ? entry.value("name", Json()) : Json();
      const Json text = entry.is_object() ? entry.value("template", Json()) : Json();
      if (name == "default" && text.is_string()) return text.get<std::string>();
    }
  }
  return std::nullopt;
}

std::optional<fs::path> FolderCheckpoint::tokenizer_file() const {
  for (const char* name : {"tokenizer.json", "tokenizer.model", "spiece.model",
                           "sentencepiece.bpe.model", "vocab.txt"}) {
    if (fs::exists(folder_ / name)) return folder_ / name;
  }
  if (fs::exists(folder_ / "merges.txt") && fs::exists(folder_ / "vocab.json")) {
    return folder_ / "vocab.json";
  }
  return std::nullopt;
}

Json FolderCheckpoint::read_companion(const char* name) const {
  const fs::path file = folder_ / name;
  return fs::exists(file) ? read_json_file(file) : Json(nullptr);
}

}  // namespace peft::formats
