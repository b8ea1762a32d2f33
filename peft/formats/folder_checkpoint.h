#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "peft/formats/checkpoint.h"
#include "peft/formats/safetensors_file.h"

namespace peft::formats {

/// A Hugging Face folder: config.json and safetensors weights, in one file or in shards that
/// model.safetensors.index.json lists.
class FolderCheckpoint : public Checkpoint {
 public:
  /// Throws: NotFoundError (no config.json, no weights, a missing shard), FormatError (also where
  /// the index and its shards disagree).
  explicit FolderCheckpoint(const std::filesystem::path& folder);

  const std::filesystem::path& path() const override { return folder_; }
  const Json& config() const override { return config_; }
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  at::Tensor load(const std::string& name, std::optional<at::ScalarType> dtype) const override;
  std::optional<at::ScalarType> dtype() const override;
  Json generation_config() const override { return read_companion("generation_config.json"); }
  Json tokenizer_config() const override { return read_companion("tokenizer_config.json"); }
  std::optional<std::string> chat_template() const override;
  std::optional<std::filesystem::path> tokenizer_file() const override;
  Json gguf_metadata() const override { return nullptr; }

 private:
  void open_weights();
  void open_shards(const std::map<std::string, std::string>& shard_of);
  void list_tensors();
  Json read_companion(const char* name) const;

  std::filesystem::path folder_;
  Json config_;
  std::vector<SafetensorsFile> files_;
  std::vector<TensorInfo> tensors_;
  std::unordered_map<std::string, size_t> file_of_;
};

}  // namespace peft::formats
