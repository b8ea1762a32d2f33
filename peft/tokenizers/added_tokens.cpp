#include "peft/tokenizers/added_tokens.h"

#include <fmt/core.h>

#include <algorithm>

#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/tokenizers/unicode.h"

namespace peft::tokenizers {
namespace {

/// Looking for a token takes time by its length at every place of the text; real ones have a few
/// dozen bytes.
constexpr size_t kLongestToken = 4096;

bool is_in(char32_t c, CharClass wanted) { return (char_class_table()[c] & wanted) != 0; }

bool inside_word(std::string_view text, Range range) {
  const bool before = range.begin > 0 && is_in(decode_utf8_before(text, range.begin).value, kWord);
  const bool behind = range.end < text.size() && is_in(decode_utf8(text, range.end).value, kWord);
  return before || behind;
}

size_t space_before(std::string_view text, size_t end) {
  while (end > 0) {
    const CodePoint c = decode_utf8_before(text, end);
    if (!is_in(c.value, kSpace)) break;
    end -= c.length;
  }
  return end;
}

size_t space_behind(std::string_view text, size_t at) {
  while (at < text.size()) {
    const CodePoint c = decode_utf8(text, at);
    if (!is_in(c.value, kSpace)) break;
    at += c.length;
  }
  return at;
}

}  // namespace

void WordFinder::add(std::string_view word, uint32_t value) {
  if (word.empty()) return;
  if (word.size() > kLongestToken) {
    throw FormatError(
        fmt::format("tokenizer: the added token {} is too long: expected at most {} bytes, got {}. "
                    "The tokenizer's file is damaged.",
                    quote(word), kLongestToken, word.size()));
  }
  starts_[static_cast<unsigned char>(word.front())] = true;
  uint32_t node = 0;
  for (const char letter : word) {
    const auto byte = static_cast<unsigned char>(letter);
    const auto found = nodes_[node].next.find(byte);
    if (found != nodes_[node].next.end()) {
      node = found->second;
      continue;
    }
    const auto made = static_cast<uint32_t>(nodes_.size());
    nodes_[node].next.emplace(byte, made);
    nodes_.emplace_back();
    node = made;
  }
  nodes_[node].value = value;
}

std::optional<WordFinder::Match> WordFinder::find(std::string_view text, size_t from) const {
  for (size_t begin = from; begin < text.size(); ++begin) {
    if (!starts_[static_cast<unsigned char>(text[begin])]) continue;
    std::optional<Match> longest;
    uint32_t node = 0;
    for (size_t at = begin; at < text.size(); ++at) {
      const auto next = nodes_[node].next.find(static_cast<unsigned char>(text[at]));
      if (next == nodes_[node].next.end()) break;
      node = next->second;
      if (nodes_[node].value) longest = Match{{begin, at + 1}, *nodes_[node].value};
    }
    if (longest) return longest;
  }
  return std::nullopt;
}

AddedTokens::AddedTokens(const std::vector<AddedToken>& tokens, const Model& model,
                         const Normalizer* normalizer) {
  auto next = static_cast<uint32_t>(model.size());
  for (AddedToken token : tokens) {
    if (token.content.empty()) continue;
    if (!token.keeps_id) {
      const auto known = id(token.content);
      const auto in_model = model.token_to_id(token.content);
      token.id = known ? *known : in_model ? *in_model : next++;
    }
    if (token.normalized && normalizer != nullptr) {
      AlignedText text(token.content);
      normalizer->apply(text);
      if (text.text() != token.content) normalized_[token.id] = std::string(text.text());
    }
    ids_[token.content] = token.id;
    if (token.special) special_[token.content] = true;
    tokens_.insert_or_assign(token.id, std::move(token));
  }
  for (const auto& [id, token] : tokens_) {
    if (token.normalized) {
      const auto found = normalized_.find(id);
      after_normalizing_.add(found == normalized_.end() ? token.content : found->second, id);
      any_normalized_ = true;
    } else {
      raw_.add(token.content, id);
      any_raw_ = true;
    }
  }
}

void AddedTokens::cut(std::string_view text, const WordFinder& finder,
                      std::vector<Piece>& pieces) const {
  size_t done = 0, from = 0;
  while (const auto match = finder.find(text, from)) {
    from = match->range.end;
    const AddedToken& token = tokens_.at(match->value);
    Range range = match->range;
    if (token.single_word && inside_word(text, range)) continue;
    if (token.lstrip) range.begin = std::max(space_before(text, range.begin), done);
    if (token.rstrip) range.end = space_behind(text, range.end);
    range.begin = std::max(range.begin, done);
    if (done < range.begin) pieces.push_back({{done, range.begin}, std::nullopt});
    range.end = std::max(range.end, range.begin);  // eaten by the rstrip of the token before: empty
    pieces.push_back({range, token.id});
    done = range.end;
  }
  if (done < text.size()) pieces.push_back({{done, text.size()}, std::nullopt});
}

std::vector<Segment> AddedTokens::split(std::string_view text, const Normalizer* normalizer) const {
  std::vector<Piece> stretches;
  if (any_raw_) {
    cut(text, raw_, stretches);
  } else if (!text.empty()) {
    stretches.push_back({{0, text.size()}, std::nullopt});
  }
  std::vector<Segment> segments;
  segments.reserve(stretches.size());
  for (const Piece& stretch : stretches) {
    const size_t begin = stretch.range.begin, size = stretch.range.size();
    Segment segment{AlignedText(text.substr(begin, size), begin), {}};
    if (stretch.added) {
      segment.pieces.push_back({{0, size}, stretch.added});
    } else {
      if (normalizer != nullptr) normalizer->apply(segment.text);
      const std::string_view now = segment.text.text();
      if (any_normalized_) {
        cut(now, after_normalizing_, segment.pieces);
      } else if (!now.empty()) {
        segment.pieces.push_back({{0, now.size()}, std::nullopt});
      }
    }
    segments.push_back(std::move(segment));
  }
  return segments;
}

std::optional<uint32_t> AddedTokens::id(std::string_view content) const {
  const auto found = ids_.find(std::string(content));
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

const AddedToken* AddedTokens::token(uint32_t id) const {
  const auto found = tokens_.find(id);
  return found == tokens_.end() ? nullptr : &found->second;
}

std::optional<std::string_view> AddedTokens::text_to_decode(uint32_t id) const {
  const AddedToken* added = token(id);
  if (added == nullptr) return std::nullopt;
  const auto found = normalized_.find(id);
  return found == normalized_.end() ? added->content : found->second;
}

bool AddedTokens::is_special(uint32_t id) const {
  const AddedToken* added = token(id);
  return added != nullptr && is_special(added->content);
}

bool AddedTokens::is_special(std::string_view content) const {
  return special_.contains(std::string(content));
}

std::vector<AddedToken> read_added_tokens(const JsonView& json) {
  constexpr int64_t kMostIds = int64_t{1} << 31;
  std::vector<AddedToken> tokens;
  for (const JsonView& item : json.items()) {
    AddedToken token;
    token.id = static_cast<uint32_t>(item.at("id").integer(kMostIds - 1));
    token.content = item.at("content").string();
    token.special = item.boolean("special", false);
    token.single_word = item.boolean("single_word", false);
    token.lstrip = item.boolean("lstrip", false);
    token.rstrip = item.boolean("rstrip", false);
    token.normalized = item.boolean("normalized", !token.special);
    tokens.push_back(std::move(token));
  }
  return tokens;
}

}  // namespace peft::tokenizers
