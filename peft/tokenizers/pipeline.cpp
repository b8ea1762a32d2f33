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

/// Keeps some tokens of a text.
void keep_tokens(Encoding& encoding, size_t begin, size_t end) {
  keep_range(encoding.ids, begin, end);
  keep_range(encoding.type_ids, begin, end);
  keep_range(encoding.attention_mask, begin, end);
  keep_range(encoding.special_tokens_mask, begin, end);
  keep_range(encoding.offsets, begin, end);
  for (auto& range : encoding.text_ranges) range.second = std::min(range.second, end - begin);
}

/// Keeps `most` tokens of a text that has more; `side` is where the others are cut off.
void cut(Encoding& encoding, size_t most, Side side) {
  const size_t begin = side == Side::kRight ? 0 : encoding.ids.size() - most;
  keep_tokens(encoding, begin, begin + most);
}

/// How many tokens stay of two texts that have more than `most` together.
/// Source: tokenizers src/utils/truncation.rs truncate_encodings
std::pair<size_t, size_t> lengths_longest_first(size_t first, size_t second, size_t most) {
  size_t shorter = std::min(first, second);
  size_t longer = shorter > most ? shorter : std::max(shorter, most - shorter);
  if (shorter + longer > most) {
    shorter = most / 2;
    longer = shorter + most % 2;
  }
  return first > second ? std::pair(longer, shorter) : std::pair(shorter, longer);
}

/// How many tokens stay of the one text that alone may be cut.
size_t length_of_only(const std::vector<Encoding>& texts, size_t index, size_t most) {
  size_t total = 0;
  for (const Encoding& text : texts) total += text.ids.size();
  const size_t length = index < texts.size() ? texts[index].ids.size() : 0;
  if (length > total - most) return length - (total - most);
  throw ConfigError(fmt::format(
      "tokenizer: text {} cannot be cut to fit: expected more than {} tokens to take {} away, got "
      "{}. Give a larger max_length, or cut the longest first.",
      index + 1, total - most, total - most, length));
}

}  // namespace

Pipeline::Pipeline(Stages stages, const std::vector<AddedToken>& added)
    : stages_(std::move(stages)), added_(added, *stages_.model, stages_.normalizer.get()) {}

void Pipeline::set_processor(std::unique_ptr<const Processor> processor) {
  stages_.processor = std::move(processor);
}

Encoding Pipeline::encode(std::string_view text, const EncodeOptions& options) const {
  std::vector<Encoding> texts;
  texts.push_back(encode_text(text, 0));
  return finish(std::move(texts), options);
}

Encoding Pipeline::encode_pair(std::string_view first, std::string_view second,
                               const EncodeOptions& options) const {
  std::vector<Encoding> texts;
  texts.push_back(encode_text(first, 0));
  texts.push_back(encode_text(second, 1));
  return finish(std::move(texts), options);
}

std::vector<EncodedWindow> Pipeline::encode_pair_windows(std::string_view first,
                                                         std::string_view second, size_t max_length,
                                                         size_t stride) const {
  const Encoding beside = encode_text(first, 0), text = encode_text(second, 1);
  const size_t special = stages_.processor ? stages_.processor->added_tokens(2) : 0;
  const size_t taken = beside.ids.size() + special, tokens = text.ids.size();
  const size_t width = max_length > taken ? max_length - taken : 0;
  if (tokens > width && stride >= width) {
    throw ConfigError(fmt::format(
        "tokenizer: windows of {} tokens, {} of them the first text's and special ones, cannot "
        "overlap by {}: expected less than {}. Give a larger max_length or a smaller stride.",
        max_length, taken, stride, width));
  }
  std::vector<EncodedWindow> windows;
  for (size_t begin = 0;; begin += width - stride) {
    const size_t end = std::min(begin + width, tokens);
    Encoding part = text;
    keep_tokens(part, begin, end);
    windows.push_back({finish({beside, std::move(part)}, {.max_length = max_length}), begin});
    if (end == tokens) return windows;
  }
}

Encoding Pipeline::finish(std::vector<Encoding> texts, const EncodeOptions& options) const {
  truncate(texts, options);
  if (stages_.processor != nullptr) stages_.processor->apply(texts, options.add_special_tokens);
  Encoding joined = std::move(texts.front());
  for (size_t i = 1; i < texts.size(); ++i) append(joined, texts[i]);
  return joined;
}

Encoding Pipeline::encode_text(std::string_view text, size_t index) const {
  if (text.size() > kLongestText) {
    throw ConfigError(fmt::format("tokenizer: the text is too long: expected at most {}, got {}.",
                                  human_bytes(kLongestText), human_bytes(text.size())));
  }
  Encoding encoding;
  if (valid_utf8_prefix(text) == text.size()) {
    encoding = encode_valid(text);
  } else {
    const Mended mended = mend(text);
    encoding = encode_valid(mended.text);
    for (auto& [begin, end] : encoding.offsets) {
      begin = mended.origin[begin];
      end = mended.origin[end];
    }
  }
  const size_t count = encoding.ids.size();
  encoding.type_ids.assign(count, static_cast<int64_t>(index));
  encoding.attention_mask.assign(count, 1);
  encoding.special_tokens_mask.assign(count, 0);
  encoding.text_ranges[index] = {0, count};
  return encoding;
}

Encoding Pipeline::encode_valid(std::string_view text) const {
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
      if (!token.shares_bytes) at = end;
    }
  }
}

void Pipeline::truncate(std::vector<Encoding>& texts, const EncodeOptions& options) const {
  size_t most = options.max_length.value_or(truncation_ ? truncation_->max_length : SIZE_MAX);
  if (most == SIZE_MAX) return;
  const bool by_file = !options.max_length;
  const TruncationStrategy strategy = by_file ? truncation_->strategy : options.truncation;
  const Side side = truncation_ ? truncation_->side : Side::kRight;
  if (stages_.processor != nullptr && options.add_special_tokens) {
    most -= std::min(most, stages_.processor->added_tokens(texts.size()));
  }
  const size_t first = texts[0].ids.size(), second = texts.size() > 1 ? texts[1].ids.size() : 0;
  if (first + second <= most) return;
  std::pair<size_t, size_t> kept = {first, second};
  if (most == 0) {
    kept = {0, 0};
  } else if (strategy == TruncationStrategy::kOnlyFirst) {
    kept.first = length_of_only(texts, 0, most);
  } else if (strategy == TruncationStrategy::kOnlySecond) {
    kept.second = length_of_only(texts, 1, most);
  } else {
    kept =
        texts.size() == 1 ? std::pair(most, size_t{0}) : lengths_longest_first(first, second, most);
  }
  cut(texts[0], kept.first, side);
  if (texts.size() > 1) cut(texts[1], kept.second, side);
}

std::vector<Encoding> Pipeline::encode_batch(const std::vector<std::string>& texts,
                                             const BatchOptions& options) const {
  std::vector<Encoding> encodings;
  encodings.reserve(texts.size());
  for (const std::string& text : texts) {
    encodings.push_back(
        encode(text, {options.add_special_tokens, options.max_length, options.truncation}));
  }
  pad_batch(encodings, options);
  return encodings;
}

std::vector<Encoding> Pipeline::encode_pair_batch(
    const std::vector<std::pair<std::string, std::string>>& pairs,
    const BatchOptions& options) const {
  std::vector<Encoding> encodings;
  encodings.reserve(pairs.size());
  for (const auto& [first, second] : pairs) {
    encodings.push_back(encode_pair(
        first, second, {options.add_special_tokens, options.max_length, options.truncation}));
  }
  pad_batch(encodings, options);
  return encodings;
}

void Pipeline::pad_batch(std::vector<Encoding>& encodings, const BatchOptions& options) const {
  if (options.padding == Padding::kNone) return;
  size_t length = 0;
  if (options.padding == Padding::kLongest) {
    for (const Encoding& encoding : encodings) length = std::max(length, encoding.ids.size());
  } else if (options.max_length) {
    length = *options.max_length;
  } else {
    throw ConfigError(
        "tokenizer: padding to the maximum length: expected max_length, got none. Give max_length, "
        "or pad to the longest text.");
  }
  for (Encoding& encoding : encodings) pad(encoding, length, options.padding_side);
}

void Pipeline::pad(Encoding& encoding, size_t length, Side side) const {
  if (encoding.ids.size() >= length) return;
  const size_t missing = length - encoding.ids.size();
  const auto fill = [&](auto& list, const auto& value) {
    list.insert(side == Side::kLeft ? list.begin() : list.end(), missing, value);
  };
  for (auto& [begin, end] : encoding.text_ranges) {
    if (side == Side::kRight || begin == end) continue;
    begin += missing;
    end += missing;
  }
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
  read("cls_token", cls_id);
  read("sep_token", sep_id);
  read("mask_token", mask_id);
}

}  // namespace peft::tokenizers
