#pragma once

#include <memory>
#include <string>
#include <vector>

#include "peft/tokenizers/added_tokens.h"
#include "peft/tokenizers/decoders/decoder.h"
#include "peft/tokenizers/models/model.h"
#include "peft/tokenizers/normalizers/normalizer.h"
#include "peft/tokenizers/pre_tokenizers/pre_tokenizer.h"
#include "peft/tokenizers/processors/processor.h"
#include "peft/tokenizers/tokenizer.h"

namespace peft::tokenizers {

/// `truncation` of a tokenizer.json.
struct Truncation {
  size_t max_length = 0;
  Side side = Side::kRight;  // which end is cut off
  TruncationStrategy strategy = TruncationStrategy::kLongestFirst;
};

/// `padding` of a tokenizer.json.
struct PaddingStyle {
  int64_t id = 0, type_id = 0;
};

/// The stages of a tokenizer; all but the model may be absent.
struct Stages {
  std::unique_ptr<const Normalizer> normalizer = nullptr;
  std::unique_ptr<const PreTokenizer> pre_tokenizer = nullptr;
  std::unique_ptr<const Model> model = nullptr;
  std::unique_ptr<const Processor> processor = nullptr;
  std::unique_ptr<const Decoder> decoder = nullptr;
};

/// The tokenizer that runs a text through its stages, one after the other:
/// added tokens, normalizer, pre-tokenizer, model, post-processor; and back by the decoder.
/// Source: tokenizers src/tokenizer/mod.rs TokenizerImpl
class Pipeline : public Tokenizer, public TokenNames {
 public:
  /// The processor comes later, by set_processor(), as it may ask this object for names.
  Pipeline(Stages stages, const std::vector<AddedToken>& added);

  void set_processor(std::unique_ptr<const Processor> processor);
  void set_truncation(std::optional<Truncation> truncation) { truncation_ = truncation; }
  void set_padding(PaddingStyle padding) { padding_ = padding; }

  Encoding encode(std::string_view text, const EncodeOptions& options) const override;
  Encoding encode_pair(std::string_view first, std::string_view second,
                       const EncodeOptions& options) const override;
  std::vector<EncodedWindow> encode_pair_windows(std::string_view first, std::string_view second,
                                                 size_t max_length, size_t stride) const override;
  std::vector<Encoding> encode_batch(const std::vector<std::string>& texts,
                                     const BatchOptions& options) const override;
  std::vector<Encoding> encode_pair_batch(
      const std::vector<std::pair<std::string, std::string>>& pairs,
      const BatchOptions& options) const override;
  std::string decode(const std::vector<int64_t>& ids, bool skip_special_tokens) const override;

  std::optional<int64_t> token_to_id(std::string_view token) const override;
  std::optional<std::string> id_to_token(int64_t id) const override;
  size_t vocab_size(bool with_added_tokens) const override;
  bool is_special(int64_t id) const override;
  void apply_config(const Json& tokenizer_config) override;

  std::string name(int64_t id) const override { return id_to_token(id).value_or(""); }
  const AddedToken* added(int64_t id) const override {
    return added_.token(static_cast<uint32_t>(id));
  }

 private:
  /// The tokens of one text, without special ones. `index`: 0, for the second of two texts 1.
  Encoding encode_text(std::string_view text, size_t index) const;
  Encoding encode_valid(std::string_view text) const;
  /// Cuts the one text or the two, adds the special tokens and joins them.
  Encoding finish(std::vector<Encoding> texts, const EncodeOptions& options) const;
  void tokenize(Segment& segment, Model::Session& session, std::vector<Token>& tokens,
                Encoding& encoding) const;
  void truncate(std::vector<Encoding>& texts, const EncodeOptions& options) const;
  void pad_batch(std::vector<Encoding>& encodings, const BatchOptions& options) const;
  void pad(Encoding& encoding, size_t length, Side side) const;

  Stages stages_;
  AddedTokens added_;
  std::optional<Truncation> truncation_;
  PaddingStyle padding_;
};

/// Reads a tokenizer.json; `more` come behind its added tokens.
/// Throws: FormatError, UnsupportedError (unknown stage).
std::shared_ptr<Pipeline> read_pipeline(const JsonView& json, std::vector<AddedToken> more = {});

}  // namespace peft::tokenizers
