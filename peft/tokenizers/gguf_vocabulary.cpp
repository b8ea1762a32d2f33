#include <fmt/core.h>

#include <algorithm>

#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/tokenizers/gguf_pre_tokenizers.h"
#include "peft/tokenizers/models/bpe.h"
#include "peft/tokenizers/pipeline.h"
#include "peft/tokenizers/unicode.h"

// Tokenizers out of the metadata of GGUF files.
namespace peft::tokenizers {
namespace {

/// `tokenizer.ggml.token_type`.
enum TokenType { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4 };

constexpr std::string_view kSpaceMark = "\u2581";
/// A longer SentencePiece token would take too long to take apart, and none is made.
constexpr size_t kLongestGgufToken = 1024;

/// The parts of the metadata that every kind of vocabulary has.
struct GgufVocabulary {
  JsonView json;
  std::vector<std::string_view> tokens;
  std::vector<int64_t> types;  // as many as tokens

  explicit GgufVocabulary(const JsonView& metadata) : json(metadata) {
    tokens = read_strings("tokenizer.ggml.tokens");
    types.assign(tokens.size(), kNormal);
    if (!json.has("tokenizer.ggml.token_type")) return;
    const JsonView list = list_of("tokenizer.ggml.token_type");
    check_length(list);
    for (size_t i = 0; i < types.size(); ++i) {
      if (!list.json()[i].is_number_integer()) list.fail(fmt::format("[{}] is no integer", i));
      types[i] = list.json()[i].get<int64_t>();
    }
  }

  JsonView list_of(std::string_view key) const {
    const JsonView list = json.at(key);
    if (!list.json().is_array()) list.fail("wrong type: expected a list");
    return list;
  }

  void check_length(const JsonView& list) const {
    if (list.json().size() == tokens.size()) return;
    list.fail(fmt::format("wrong length: expected one entry for each of {} tokens, got {}",
                          tokens.size(), list.json().size()));
  }

  std::vector<std::string_view> read_strings(std::string_view key) const {
    const JsonView list = list_of(key);
    std::vector<std::string_view> strings;
    strings.reserve(list.json().size());
    for (const Json& item : list.json()) {
      if (!item.is_string()) list.fail(fmt::format("[{}] is no string", strings.size()));
      strings.emplace_back(item.get_ref<const std::string&>());
    }
    return strings;
  }

  /// A token id such as tokenizer.ggml.bos_token_id.
  std::optional<int64_t> id(std::string_view key) const {
    if (!json.has(key) || tokens.empty()) return std::nullopt;
    // Some writers put 2^32 - 1 where there is none.
    if (json.at(key).json() == UINT32_MAX || json.at(key).json() == -1) return std::nullopt;
    return json.at(key).integer(static_cast<int64_t>(tokens.size()) - 1);
  }

  Vocabulary vocabulary() const {
    std::vector<Vocabulary::Entry> entries;
    entries.reserve(tokens.size());
    for (size_t i = 0; i < tokens.size(); ++i) {
      entries.push_back({tokens[i], static_cast<uint32_t>(i)});
    }
    return Vocabulary(entries, json.where() + ": tokenizer.ggml.tokens");
  }

  /// The tokens that are looked for in the text before anything else. `spell` gives their text.
  template <typename Spell>
  std::vector<AddedToken> added_tokens(const Spell& spell) const {
    std::vector<AddedToken> added;
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (types[i] != kControl && types[i] != kUserDefined && types[i] != kUnknown) continue;
      added.push_back({.id = static_cast<uint32_t>(i),
                       .content = spell(tokens[i]),
                       .normalized = false,
                       .special = types[i] != kUserDefined,
                       .keeps_id = true});
    }
    return added;
  }
};

std::vector<MergeTable::Merge> read_merges(const GgufVocabulary& gguf, const Vocabulary& known) {
  const std::string key = "tokenizer.ggml.merges";
  std::vector<MergeTable::Merge> merges;
  std::string joined;
  for (const std::string_view text : gguf.read_strings(key)) {
    // The first character may itself be a blank in files of old converters.
    const size_t blank = text.empty() ? std::string_view::npos : text.find(' ', 1);
    const auto fail = [&](std::string_view problem) {
      gguf.json.at(key).fail(
          fmt::format("merge {} {}: got {}", merges.size(), problem, quote(text)));
    };
    if (blank == std::string_view::npos || blank + 1 == text.size()) fail("has not two parts");
    const std::string_view left = text.substr(0, blank), right = text.substr(blank + 1);
    joined.assign(left).append(right);
    const auto left_id = known.find(left), right_id = known.find(right);
    const auto result = known.find(joined);
    if (!left_id || !right_id || !result) fail("names tokens that are not in the vocabulary");
    merges.push_back({*left_id, *right_id, static_cast<uint32_t>(merges.size()), *result});
  }
  return merges;
}

/// The merges that a SentencePiece vocabulary means: any two neighbours that make a token together,
/// the token of the highest score first.
std::vector<MergeTable::Merge> merges_by_score(const GgufVocabulary& gguf,
                                               const Vocabulary& known) {
  const JsonView list = gguf.list_of("tokenizer.ggml.scores");
  gguf.check_length(list);
  std::vector<double> scores;
  for (const Json& score : list.json()) {
    if (!score.is_number()) list.fail(fmt::format("[{}] is no number", scores.size()));
    scores.push_back(score.get<double>());
  }
  std::vector<double> ranks = scores;
  std::sort(ranks.begin(), ranks.end(), std::greater<>());
  ranks.erase(std::unique(ranks.begin(), ranks.end()), ranks.end());
  std::vector<MergeTable::Merge> merges;
  for (size_t i = 0; i < gguf.tokens.size(); ++i) {
    const std::string_view token = gguf.tokens[i];
    if (gguf.types[i] == kControl || gguf.types[i] == kUnknown) continue;
    if (token.size() > kLongestGgufToken) {
      gguf.json.at("tokenizer.ggml.tokens")
          .fail(fmt::format("token {} is too long: expected at most {} bytes, got {}", i,
                            kLongestGgufToken, token.size()));
    }
    const auto rank = std::lower_bound(ranks.begin(), ranks.end(), scores[i], std::greater<>());
    for (size_t cut = 1; cut < token.size(); ++cut) {
      if (is_continuation(token[cut])) continue;
      const auto left = known.find(token.substr(0, cut)), right = known.find(token.substr(cut));
      if (!left || !right) continue;
      merges.push_back(
          {*left, *right, static_cast<uint32_t>(rank - ranks.begin()), static_cast<uint32_t>(i)});
    }
  }
  return merges;
}

Json byte_level_decoder() {
  return {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}};
}

/// Blanks back from marks, characters from bytes, and off with the blank in front.
Json sentence_piece_decoder(bool space_prefix) {
  Json stages = Json::array();
  stages.push_back({{"type", "Replace"}, {"pattern", {{"String", kSpaceMark}}}, {"content", " "}});
  stages.push_back({{"type", "ByteFallback"}});
  stages.push_back({{"type", "Fuse"}});
  if (space_prefix) {
    stages.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  }
  return {{"type", "Sequence"}, {"decoders", stages}};
}

Json sentence_piece_normalizer(bool space_prefix) {
  Json stages = Json::array();
  if (space_prefix) stages.push_back({{"type", "Prepend"}, {"prepend", kSpaceMark}});
  stages.push_back({{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", kSpaceMark}});
  return {{"type", "Sequence"}, {"normalizers", stages}};
}

std::shared_ptr<Pipeline> finish(const GgufVocabulary& gguf, Stages stages,
                                 const std::vector<AddedToken>& added, bool add_bos) {
  auto tokenizer = std::make_shared<Pipeline>(std::move(stages), added);
  tokenizer->bos_id = gguf.id("tokenizer.ggml.bos_token_id");
  tokenizer->eos_id = gguf.id("tokenizer.ggml.eos_token_id");
  tokenizer->unk_id = gguf.id("tokenizer.ggml.unknown_token_id");
  tokenizer->pad_id = gguf.id("tokenizer.ggml.padding_token_id");
  const bool bos = gguf.json.boolean("tokenizer.ggml.add_bos_token", add_bos);
  const bool eos = gguf.json.boolean("tokenizer.ggml.add_eos_token", false);
  const auto first = bos ? tokenizer->bos_id : std::nullopt;
  const auto last = eos ? tokenizer->eos_id : std::nullopt;
  if (first || last) tokenizer->set_processor(make_bracket_processor(first, last));
  return tokenizer;
}

std::shared_ptr<Tokenizer> make_gpt2(const GgufVocabulary& gguf) {
  const std::string& where = gguf.json.where();
  const GgufPreTokenizer pre =
      find_gguf_pre_tokenizer(gguf.json.string("tokenizer.ggml.pre", "default"), where);
  const Json decoder = byte_level_decoder();
  Vocabulary vocabulary = gguf.vocabulary();
  const auto merges = read_merges(gguf, vocabulary);
  Stages stages;
  if (!pre.normalizer.is_null()) stages.normalizer = read_normalizer({pre.normalizer, where});
  stages.pre_tokenizer = read_pre_tokenizer({pre.pre_tokenizer, where});
  stages.model = std::make_unique<Bpe>(std::move(vocabulary), merges,
                                       BpeOptions{.ignore_merges = pre.ignore_merges});
  stages.decoder = read_decoder({decoder, where});
  const auto added = gguf.added_tokens([](std::string_view token) { return std::string(token); });
  return finish(gguf, std::move(stages), added, pre.add_bos);
}

std::shared_ptr<Tokenizer> make_llama(const GgufVocabulary& gguf) {
  const std::string& where = gguf.json.where();
  const bool space_prefix = gguf.json.boolean("tokenizer.ggml.add_space_prefix", true);
  const Json normalizer = sentence_piece_normalizer(space_prefix);
  const Json decoder = sentence_piece_decoder(space_prefix);
  Vocabulary vocabulary = gguf.vocabulary();
  const auto merges = merges_by_score(gguf, vocabulary);
  BpeOptions options{.fuse_unk = true, .byte_fallback = true};
  const auto unknown = std::find(gguf.types.begin(), gguf.types.end(), kUnknown);
  if (unknown != gguf.types.end()) {
    options.unk_token = gguf.tokens[static_cast<size_t>(unknown - gguf.types.begin())];
  }
  Stages stages;
  stages.normalizer = read_normalizer({normalizer, where});
  stages.model = std::make_unique<Bpe>(std::move(vocabulary), merges, std::move(options));
  stages.decoder = read_decoder({decoder, where});
  const auto added = gguf.added_tokens([](std::string_view token) {
    std::string text(token);
    for (size_t at; (at = text.find(kSpaceMark)) != std::string::npos;) {
      text.replace(at, kSpaceMark.size(), " ");
    }
    return text;
  });
  return finish(gguf, std::move(stages), added, true);
}

}  // namespace

std::shared_ptr<Tokenizer> Tokenizer::from_gguf_metadata(const Json& metadata,
                                                         const std::string& where) {
  const JsonView json(metadata, where);
  const std::string model = json.at("tokenizer.ggml.model").string();
  if (model == "gpt2") return make_gpt2(GgufVocabulary(json));
  if (model == "llama") return make_llama(GgufVocabulary(json));
  throw UnsupportedError(fmt::format(
      "{}: tokenizer.ggml.model: expected gpt2 or llama, got {}. Use the model's folder with its "
      "tokenizer.json instead.",
      where, quote(model)));
}

}  // namespace peft::tokenizers
