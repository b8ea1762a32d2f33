#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "peft/base/json.h"

namespace peft::tokenizers {

/// What encoding a text gives. All lists have the same length.
struct Encoding {
  std::vector<int64_t> ids;
  std::vector<int64_t> type_ids;
  std::vector<int64_t> attention_mask;
  std::vector<int64_t> special_tokens_mask;
  std::vector<std::pair<size_t, size_t>> offsets;  // byte range in the input, half open
};

struct EncodeOptions {
  bool add_special_tokens = true;
  std::optional<size_t> max_length = {};  // truncates (special tokens are kept)
};

enum class Padding { kNone, kLongest, kMaxLength };
enum class Side { kLeft, kRight };

struct BatchOptions {
  bool add_special_tokens = true;
  Padding padding = Padding::kLongest;
  Side padding_side = Side::kRight;
  std::optional<size_t> max_length = {};
};

/// Text to token ids and back, as the Python `tokenizers` library does from the same file.
/// Immutable after loading; concurrent use is allowed.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// Reads a tokenizer.json.  Throws: NotFoundError, FormatError, UnsupportedError (unknown stage).
  static std::shared_ptr<Tokenizer> from_file(const std::filesystem::path& file);
  static std::shared_ptr<Tokenizer> from_json(std::string_view json, const std::string& where);
  /// Makes a tokenizer from a GGUF file's `tokenizer.ggml.*` metadata (models gpt2 and llama).
  static std::shared_ptr<Tokenizer> from_gguf_metadata(const Json& metadata,
                                                       const std::string& where);

  virtual Encoding encode(std::string_view text, const EncodeOptions& options = {}) const = 0;
  virtual std::vector<Encoding> encode_batch(const std::vector<std::string>& texts,
                                             const BatchOptions& options = {}) const = 0;
  virtual std::string decode(const std::vector<int64_t>& ids,
                             bool skip_special_tokens = true) const = 0;

  virtual std::optional<int64_t> token_to_id(std::string_view token) const = 0;
  virtual std::optional<std::string> id_to_token(int64_t id) const = 0;
  virtual size_t vocab_size(bool with_added_tokens = true) const = 0;
  virtual bool is_special(int64_t id) const = 0;

  /// Special tokens by role, from tokenizer_config.json or GGUF metadata where known.
  std::optional<int64_t> bos_id, eos_id, pad_id, unk_id;
  /// Applies tokenizer_config.json (bos_token, eos_token, pad_token, ...; strings or objects).
  virtual void apply_config(const Json& tokenizer_config) = 0;
};

/// Decodes a growing list of ids and gives out text as soon as it is whole: never half a character.
class StreamDecoder {
 public:
  StreamDecoder(std::shared_ptr<const Tokenizer> tokenizer, bool skip_special_tokens = true);
  /// Text that became certain with this id; may be empty.
  std::string push(int64_t id);
  /// Whatever is left, broken characters as U+FFFD.
  std::string finish();

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  bool skip_special_tokens_;
  std::vector<int64_t> ids_;
  size_t prefix_ = 0, read_ = 0;
};

}  // namespace peft::tokenizers
