#pragma once

#include <array>
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
  /// Byte ranges in the input, half open; of two texts each token's in its own.
  std::vector<std::pair<size_t, size_t>> offsets;
  /// Where in the lists the tokens of the first text and of the second one are, half open.
  std::array<std::pair<size_t, size_t>, 2> text_ranges = {};
};

/// Which of two texts is cut where they are too long together. Longest first: the longer one until
/// both have one length, then both.
enum class TruncationStrategy { kLongestFirst, kOnlyFirst, kOnlySecond };

/// A part of a text that is too long to be read at once, with what is read beside it.
struct EncodedWindow {
  Encoding encoding = {};
  size_t first_token = 0;  // the number, among all tokens of the text, of the part's first one
};

struct EncodeOptions {
  bool add_special_tokens = true;
  std::optional<size_t> max_length = {};  // truncates (special tokens are kept)
  TruncationStrategy truncation = TruncationStrategy::kLongestFirst;  // to max_length
};

enum class Padding { kNone, kLongest, kMaxLength };
enum class Side { kLeft, kRight };

struct BatchOptions {
  bool add_special_tokens = true;
  Padding padding = Padding::kLongest;
  Side padding_side = Side::kRight;
  std::optional<size_t> max_length = {};
  TruncationStrategy truncation = TruncationStrategy::kLongestFirst;
};

/// Text to token ids and back, as the Python `tokenizers` library does from the same file.
/// Immutable after loading; concurrent use is allowed.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// Reads a tokenizer.json.  Throws: NotFoundError, FormatError, UnsupportedError (unknown stage).
  static std::shared_ptr<Tokenizer> from_file(const std::filesystem::path& file);
  static std::shared_ptr<Tokenizer> from_json(std::string_view json, const std::string& where);
  /// Opens what a model's folder has: tokenizer.json, a SentencePiece model (tokenizer.model,
  /// spiece.model, sentencepiece.bpe.model), BERT's vocab.txt or GPT-2's vocab.json and merges.txt,
  /// with the tokenizer_config.json beside it. As transformers, it cuts only to a length that is
  /// asked for, whatever the file says. `settings`: keys of tokenizer_config.json with other
  /// values; a tokenizer.json takes add_prefix_space alone. Throws: NotFoundError (none of them),
  /// FormatError, UnsupportedError (unknown stage or class, or a setting that the file does not
  /// take).
  static std::shared_ptr<Tokenizer> from_folder(const std::filesystem::path& folder,
                                                const Json& settings = Json::object());
  /// True where from_folder() finds a file to open.
  static bool is_in_folder(const std::filesystem::path& folder);
  /// Makes a tokenizer from a SentencePiece model as transformers does for the `tokenizer_class` of
  /// the config: LlamaTokenizer, T5Tokenizer, XLMRobertaTokenizer or none.
  /// Throws: FormatError, UnsupportedError (another class).
  static std::shared_ptr<Tokenizer> from_sentencepiece(std::string_view bytes,
                                                       const Json& tokenizer_config,
                                                       const std::string& where);
  /// Makes BERT's tokenizer from a vocab.txt (a token a line) and tokenizer_config.json.
  /// Throws: FormatError.
  static std::shared_ptr<Tokenizer> from_wordpiece_vocabulary(std::string_view vocabulary,
                                                              const Json& tokenizer_config,
                                                              const std::string& where);
  /// Makes GPT-2's, RoBERTa's or BART's tokenizer from vocab.json, merges.txt (a merge a line) and
  /// tokenizer_config.json; one whose class does not begin with GPT2 is RoBERTa's.
  /// Throws: FormatError.
  static std::shared_ptr<Tokenizer> from_byte_level_vocabulary(std::string_view vocabulary,
                                                               std::string_view merges,
                                                               const Json& tokenizer_config,
                                                               const std::string& where);
  /// Makes a tokenizer from a GGUF file's `tokenizer.ggml.*` metadata (models gpt2 and llama).
  static std::shared_ptr<Tokenizer> from_gguf_metadata(const Json& metadata,
                                                       const std::string& where);

  /// Throws, as all that encode: ConfigError (a text of more than 2 GiB; a text that would have to
  /// be cut to nothing, or that is not there to be cut); FormatError (the file lacks what the text
  /// needs, such as its own unknown token).
  virtual Encoding encode(std::string_view text, const EncodeOptions& options = {}) const = 0;
  /// Encodes two texts that belong together, such as a question and its answer.
  virtual Encoding encode_pair(std::string_view first, std::string_view second,
                               const EncodeOptions& options = {}) const = 0;
  /// Encodes a first text together with as many parts of the second one as it needs, none longer
  /// than `max_length` tokens in all; `stride` tokens at the end of a part are the next one's
  /// first. Offsets are those of the whole second text.
  /// Throws: ConfigError where no more than `stride` tokens of the second text have room.
  /// Source: tokenizers src/tokenizer/encoding.rs Encoding::truncate
  virtual std::vector<EncodedWindow> encode_pair_windows(std::string_view first,
                                                         std::string_view second, size_t max_length,
                                                         size_t stride) const = 0;
  virtual std::vector<Encoding> encode_batch(const std::vector<std::string>& texts,
                                             const BatchOptions& options = {}) const = 0;
  virtual std::vector<Encoding> encode_pair_batch(
      const std::vector<std::pair<std::string, std::string>>& pairs,
      const BatchOptions& options = {}) const = 0;
  virtual std::string decode(const std::vector<int64_t>& ids,
                             bool skip_special_tokens = true) const = 0;

  virtual std::optional<int64_t> token_to_id(std::string_view token) const = 0;
  virtual std::optional<std::string> id_to_token(int64_t id) const = 0;
  virtual size_t vocab_size(bool with_added_tokens = true) const = 0;
  virtual bool is_special(int64_t id) const = 0;

  /// Special tokens by role, from tokenizer_config.json or GGUF metadata where known.
  std::optional<int64_t> bos_id, eos_id, pad_id, unk_id, cls_id, sep_id, mask_id;
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
