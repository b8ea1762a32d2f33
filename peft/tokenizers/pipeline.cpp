#include "peft/tokenizers/pipeline.h"

#include <fmt/core.h>

#include <algorithm>

#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/tokenizers/unicode.h"

namespace peft::tokenizers {
namespace {

/// Lengths of tokens are counted in 32 bits.
constexpr size_t kLongestText = size_t{1} << 31;

/// Writes a text whose bytes are not UTF-8 anew, and where each of its bytes comes from.
struct Mended {
  std::string text;
  std::vector<size_t> origin;  // by byte of the text, and one behind the last
};

Mended mend(std::string_view bytes) {
  Mended mended;
  size_t at = 0;
  const auto add = [&](std::string_view text, size_t step) {
    for (size_t i = 0; i < text.size(); ++i) mended.origin.push_back(at + i * step);
    mended.text += text;
  };
  while (at < bytes.size()) {
    const size_t good = valid_utf8_prefix(bytes.substr(at));
    add(bytes.substr(at, good), 1);
    at += good;
    if (at == bytes.size()) break;
    add("\uFFFD", 0);
    at += broken_utf8_length(bytes.substr(at));
  }
  mended.origin.push_back(at);
  return mended;
}

template <typename List>
void keep_range(List& list, size_t begin, size_t end) {
  list.erase(list.begin() + static_cast<std::ptrdiff_t>(end), list.end());
  list.erase(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(begin));
}

}  // namespace

Pipeline::Pipeline(Stages stages, const std::vector<AddedToken>& added)
    : stages_(std::move(stages)), added_(added, *stages_.model, stages_.normalizer.get()) {}

void Pipeline::set_processor(std::unique_ptr<const Processor> processor) {
  stages_.processor = std::move(processor);
}

Encoding Pipeline::encode(std::string_view text, const EncodeOptions& options) const {
  if (text.size() > kLongestText) {
    throw ConfigError(fmt::format("tokenizer: the text is too long: expected at most {}, got {}.",
                                  human_bytes(kLongestText), human_bytes(text.size())));
  }
  if (valid_utf8_prefix(text) == text.size()) return encode_valid(text, options);
  const Mended mended = mend(text);
  Encoding encoding = encode_valid(mended.text, options);
  for (auto& [begin, end] : encoding.offsets) {
    begin = mended.origin[begin];
    end = mended.origin[end];
  }
  return encoding;
}

Encoding Pipeline::encode_valid(std::string_view text, const EncodeOptions& options) const {
  Encoding encoding;
  encoding.ids.reserve(text.size() / 4 + 8);
  encoding.offsets.reserve(text.size() / 4 + 8);
  std::vector<Segment> segments = added_.split(text, stages_.normalizer.get());
  std::unique_ptr<Model::Session> session;
  std::vector<Token> tokens;
  for (Segment& segment : segments) {
    if (stages_.pre_tokenizer != nullptr) stages_.pre_tokenizer->apply(segment);
    if (session == nullptr && !segment.pieces.empty()) {
      // A model always reads the same kind of pieces, whatever the first segment is.
      session = stages_.model->open(segment.bytes);
    }
    if (session != nullptr) tokenize(segment, *session, tokens, encoding);
  }
  const size_t count = encoding.ids.size();
  encoding.type_ids.assign(count, 0);
  encoding.attention_mask.assign(count, 1);
  encoding.special_tokens_mask.assign(count, 0);
  truncate(encoding, options);
  if (stages_.processor != nullptr) {
    stages_.processor->apply(encoding, options.add_special_tokens);
  }
  return encoding;
}

void Pipeline::tokenize(Segment& segment, Model::Session& session, std::vector<Token>& tokens,
                        Encoding& encoding) const {
  const auto add = [&](int64_t id, Range range) {
    const Range source = segment.text.source(range);
    encoding.ids.push_back(id);
    encoding.offsets.emplace_back(source.begin, source.end);
  };
  for (const Piece& piece : segment.pieces) {
    if (piece.added) {
      add(*piece.added, piece.range);
      continue;
    }
    tokens.clear();
    session.tokenize(segment.view(piece), tokens);
    size_t at = piece.range.begin;
    for (const Token& token : tokens) {
      const size_t end = std::min<size_t>(at + token.length, piece.range.end);
      add(token.id, {at, end});
      at = end;
    }
  }
}

void Pipeline::truncate(Encoding& encoding, const EncodeOptions& options) const {
  size_t most = options.max_length.value_or(truncation_ ? truncation_->max_length : SIZE_MAX);
  const Side side = truncation_ ? truncation_->side : Side::kRight;
  if (most == SIZE_MAX) return;
  if (stages_.processor != nullptr && options.add_special_tokens) {
    most -= std::min(most, stages_.processor->added_tokens());
  }
  const size_t count = encoding.ids.size();
  if (count <= most) return;
  const size_t begin = side == Side::kRight ? 0 : count - most;
  keep_range(encoding.ids, begin, begin + most);
  keep_range(encoding.type_ids, begin, begin + most);
  keep_range(encoding.attention_mask, begin, begin + most);
  keep_range(encoding.special_tokens_mask, begin, begin + most);
  keep_range(encoding.offsets, begin, begin + most);
}

std::vector<Encoding> Pipeline::encode_batch(const std::vector<std::string>& texts,
                                             const BatchOptions& options) const {
  if (options.padding == Padding::kMaxLength && !options.max_length) {
    throw ConfigError(
        "tokenizer: padding to the maximum length: expected max_length, got none. Give max_length, "
        "or pad to the longest text.");
  }
  std::vector<Encoding> encodings;
  encodings.reserve(texts.size());
  size_t longest = 0;
  for (const std::string& text : texts) {
    encodings.push_back(encode(text, {options.add_special_tokens, options.max_length}));
    longest = std::max(longest, encodings.back().ids.size());
  }
  if (options.padding == Padding::kNone) return encodings;
  const size_t length = options.padding == Padding::kMaxLength ? *options.max_length : longest;
  for (Encoding& encoding : encodings) pad(encoding, length, options.padding_side);
  return encodings;
}

void Pipeline::pad(Encoding& encoding, size_t length, Side side) const {
  if (encoding.ids.size() >= length) return;
  const size_t missing = length - encoding.ids.size();
  const auto fill = [&](auto& list, const auto& value) {
    list.insert(side == Side::kLeft ? list.begin() : list.end(), missing, value);
  };
  fill(encoding.ids, pad_id.value_or(padding_.id));
  fill(encoding.type_ids, padding_.type_id);
  fill(encoding.attention_mask, 0);
  fill(encoding.special_tokens_mask, 1);
  fill(encoding.offsets, std::pair<size_t, size_t>(0, 0));
}

std::string Pipeline::decode(const std::vector<int64_t>& ids, bool skip_special_tokens) const {
  std::vector<std::string> tokens;
  tokens.reserve(ids.size());
  for (const int64_t id : ids) {
    if (id < 0 || id > UINT32_MAX) continue;
    const auto number = static_cast<uint32_t>(id);
    auto text = added_.text_to_decode(number);
    if (!text) text = stages_.model->id_to_token(number);
    if (!text || (skip_special_tokens && added_.is_special(*text))) continue;
    tokens.emplace_back(*text);
  }
  if (stages_.decoder == nullptr) return join(tokens, " ");
  stages_.decoder->apply(tokens);
  return join(tokens, "");
}

std::optional<int64_t> Pipeline::token_to_id(std::string_view token) const {
  if (const auto id = added_.id(token)) return *id;
  if (const auto id = stages_.model->token_to_id(token)) return *id;
  return std::nullopt;
}

std::optional<std::string> Pipeline::id_to_token(int64_t id) const {
  if (id < 0 || id > UINT32_MAX) return std::nullopt;
  const auto number = static_cast<uint32_t>(id);
  auto text = added_.text_to_decode(number);
  if (!text) text = stages_.model->id_to_token(number);
  if (!text) return std::nullopt;
  return std::string(*text);
}

size_t Pipeline::vocab_size(bool with_added_tokens) const {
  size_t size = stages_.model->size();
  if (!with_added_tokens) return size;
  for (const auto& [content, id] : added_.ids()) {
    size += !stages_.model->token_to_id(content).has_value();
  }
  return size;
}

bool Pipeline::is_special(int64_t id) const {
  return id >= 0 && id <= UINT32_MAX && added_.is_special(static_cast<uint32_t>(id));
}

void Pipeline::apply_config(const Json& tokenizer_config) {
  if (tokenizer_config.is_null()) return;
  const JsonView config(tokenizer_config, "tokenizer_config.json");
  const auto read = [&](std::string_view key, std::optional<int64_t>& id) {
    if (!config.has(key)) return;
    const JsonView token = config.at(key);
    // A string, or an object of an added token.
    const auto found =
        token_to_id(token.json().is_object() ? token.at("content").string() : token.string());
    if (found) id = found;
  };
  read("bos_token", bos_id);
  read("eos_token", eos_id);
  read("pad_token", pad_id);
  read("unk_token", unk_id);
}

}  // namespace peft::tokenizers
