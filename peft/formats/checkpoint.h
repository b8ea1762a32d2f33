#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "peft/base/json.h"

namespace peft::formats {

/// What a file says about one tensor before any of it is read.
struct TensorInfo {
  std::string name;
  std::vector<int64_t> shape;
  std::string dtype;   // the file's own word: "BF16", "Q4_1", ...
  uint64_t bytes = 0;  // size in the file
  std::filesystem::path file;
};

/// A base model on disk: a Hugging Face folder (single or sharded safetensors) or a GGUF file.
/// Opening maps the files and checks every header; tensors are read when asked for.
class Checkpoint {
 public:
  /// Throws: NotFoundError (path), FormatError (damaged or hostile file).
  static std::shared_ptr<Checkpoint> open(const std::filesystem::path& path);
  virtual ~Checkpoint() = default;

  virtual const std::filesystem::path& path() const = 0;
  /// config.json; for GGUF made from the metadata with the same keys (model_type, hidden_size,
  /// ...).
  virtual const Json& config() const = 0;
  /// Names as transformers spells them (a GGUF's own names are translated), in file order.
  virtual const std::vector<TensorInfo>& tensors() const = 0;
  /// Reads one tensor, converted to `dtype` where given (a quantised GGUF tensor becomes float32 or
  /// `dtype`). Without conversion the result may share the mapped file and must not be written.
  /// Throws: NotFoundError, FormatError.
  virtual at::Tensor load(const std::string& name,
                          std::optional<at::ScalarType> dtype = std::nullopt) const = 0;
  /// The dtype that most of the weights have; nullopt for quantised files.
  virtual std::optional<at::ScalarType> dtype() const = 0;

  /// Contents of the companion files; null where absent. For GGUF: generation_config from the
  /// metadata's special tokens, chat_template from tokenizer.chat_template.
  virtual Json generation_config() const = 0;
  virtual Json tokenizer_config() const = 0;
  virtual std::optional<std::string> chat_template() const = 0;
  /// Path of the tokenizer's file (tokenizer.json, else a SentencePiece model, BERT's vocab.txt or
  /// GPT-2's vocab.json), if the checkpoint is a folder that has one.
  virtual std::optional<std::filesystem::path> tokenizer_file() const = 0;
  /// All `tokenizer.*` and `general.*` metadata of a GGUF file as JSON; null for folders.
  virtual Json gguf_metadata() const = 0;
};

}  // namespace peft::formats
