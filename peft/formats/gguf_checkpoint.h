#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "peft/base/mapped_file.h"
#include "peft/formats/checkpoint.h"
#include "peft/formats/gguf_header.h"

namespace peft::formats {

/// A GGUF file as a checkpoint: names, config and order of rows are those of transformers.
class GgufCheckpoint : public Checkpoint {
 public:
  /// Throws: NotFoundError, IoError, FormatError, UnsupportedError (version, a part
  /// of a split model, an adapter, rotary factors).
  explicit GgufCheckpoint(const std::filesystem::path& file);

  const std::filesystem::path& path() const override { return file_->path(); }
  const Json& config() const override { return config_; }
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  at::Tensor load(const std::string& name, std::optional<at::ScalarType> dtype) const override;
  std::optional<at::ScalarType> dtype() const override;
  Json generation_config() const override;
  Json tokenizer_config() const override;
  std::optional<std::string> chat_template() const override;
  std::optional<std::filesystem::path> tokenizer_file() const override { return std::nullopt; }
  Json gguf_metadata() const override;

 private:
  /// Heads whose rows llama.cpp has interleaved in this tensor; 0: the rows are in order.
  int64_t interleaved_heads(const GgufTensor& tensor) const;
  at::Tensor unpack(const GgufTensor& tensor, at::ScalarType dtype) const;
  at::Tensor view(const GgufTensor& tensor, at::ScalarType dtype) const;
  void check_whole_model() const;
  void add_rotary_factors();

  std::shared_ptr<const MappedFile> file_;
  GgufHeader header_;
  Json config_;
  std::vector<TensorInfo> tensors_;
  std::unordered_map<std::string, const GgufTensor*> by_name_;
};

}  // namespace peft::formats
