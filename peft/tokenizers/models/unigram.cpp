#include "peft/tokenizers/models/unigram.h"

#include <fmt/core.h>

#include <algorithm>
#include <limits>

#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/tokenizers/models/stand_ins.h"
#include "peft/tokenizers/unicode.h"

namespace peft::tokenizers {
namespace {

/// By how much an unknown character scores below the lowest token.
constexpr double kUnknownPenalty = 10;

std::vector<Vocabulary::Entry> numbered(const std::vector<Unigram::Scored>& tokens) {
  std::vector<Vocabulary::Entry> entries;
  entries.reserve(tokens.size());
  for (const Unigram::Scored& scored : tokens) {
    entries.push_back({scored.token, static_cast<uint32_t>(entries.size())});
  }
  return entries;
}

}  // namespace

/// Encodes piece after piece: the best path to every place of a piece, from front to back, and then
/// back along it.
class Unigram::Encoder : public Model::Session {
 public:
  Encoder(const Unigram& model, bool bytes) : model_(model), bytes_(bytes), cache_(model.caches_) {}

  void tokenize(std::string_view piece, std::vector<Token>& tokens) override {
    cache_->append(piece, tokens, [&] {
      if (!bytes_) return tokenize_text(piece, tokens);
      tokenize_stand_ins(piece, tokens,
                         [&](std::string_view text) { tokenize_text(text, tokens); });
    });
  }

 private:
  static constexpr uint32_t kNowhere = UINT32_MAX;

  /// The end of the best path to a place: its last token and where that starts.
  struct Step {
    double score = 0;
    uint32_t from = kNowhere;
    uint32_t id = 0;
  };

  void tokenize_text(std::string_view text, std::vector<Token>& tokens) {
    find_steps(text);
    path_.clear();
    for (auto end = static_cast<uint32_t>(text.size()); end > 0; end = steps_[end].from) {
      path_.push_back(end);
    }
    for (size_t i = path_.size(); i-- > 0;) {
      const uint32_t begin = steps_[path_[i]].from;
      if (!is_unknown(path_[i])) {
        tokens.push_back({steps_[path_[i]].id, path_[i] - begin});
        continue;
      }
      while (i > 0 && is_unknown(path_[i - 1])) --i;
      add_unknown(text.substr(begin, path_[i] - begin), tokens);
    }
  }

  void find_steps(std::string_view text) {
    steps_.assign(text.size() + 1, {});
    for (size_t at = 0; at < text.size();) {
      const uint32_t length = decode_utf8(text, at).length;
      bool single = false;  // the character is a token
      Trie::Node node = Trie::root();
      for (size_t end = at; end < text.size();) {
        node = model_.trie_.step(node, text[end++]);
        if (node == Trie::kNone) break;
        const uint32_t id = model_.trie_.id(node);
        if (id == Trie::kNone) continue;
        offer(at, end, model_.scores_[id], id);
        single = single || end == at + length;
      }
      if (!single) offer(at, at + length, model_.unknown_score_, unknown_id());
      at += length;
    }
  }

  void offer(size_t begin, size_t end, double score, uint32_t id) {
    Step& step = steps_[end];
    const double sum = score + steps_[begin].score;
    if (step.from == kNowhere || sum > step.score) step = {sum, static_cast<uint32_t>(begin), id};
  }

  uint32_t unknown_id() const {
    if (!model_.options_.unk_id) {
      throw FormatError(
          "tokenizer: a character is unknown, and the model has no unk_id. Check the tokenizer's "
          "file, or fetch it again.");
    }
    return *model_.options_.unk_id;
  }

  bool is_unknown(uint32_t end) const { return steps_[end].id == model_.options_.unk_id; }

  /// Unknown characters side by side are one token, if need be one for each byte.
  void add_unknown(std::string_view text, std::vector<Token>& tokens) const {
    const auto length = static_cast<uint32_t>(text.size());
    const auto known = model_.vocabulary_.find(text);
    const auto fallback = [&](char byte) {
      return model_.fallback_ids_[static_cast<unsigned char>(byte)];
    };
    if (known || !model_.options_.byte_fallback ||
        !std::all_of(text.begin(), text.end(), fallback)) {
      tokens.push_back({known.value_or(*model_.options_.unk_id), length});
      return;
    }
    for (const char byte : text) tokens.push_back({*fallback(byte), length, true});
    tokens.back().shares_bytes = false;
  }

  const Unigram& model_;
  bool bytes_;
  WordCachePool::Borrowed cache_;
  std::vector<Step> steps_;     // by place in the text
  std::vector<uint32_t> path_;  // ends of the tokens, from back to front
};

Unigram::Unigram(const std::vector<Scored>& tokens, Options options, const std::string& where)
    : vocabulary_(numbered(tokens), where), trie_(numbered(tokens), where), options_(options) {
  double lowest = std::numeric_limits<double>::infinity();
  for (const Scored& scored : tokens) {
    scores_.push_back(scored.score);
    lowest = std::min(lowest, scored.score);
  }
  unknown_score_ = lowest - kUnknownPenalty;
  for (int byte = 0; byte < 256; ++byte) {
    fallback_ids_.push_back(vocabulary_.find(fmt::format("<0x{:02X}>", byte)));
  }
}

std::unique_ptr<Model::Session> Unigram::open(bool bytes) const {
  return std::make_unique<Encoder>(*this, bytes);
}

std::unique_ptr<const Model> read_unigram(const JsonView& json) {
  const JsonView vocabulary = json.at("vocab");
  if (!vocabulary.json().is_array()) vocabulary.fail("expected a list of tokens and scores");
  std::vector<Unigram::Scored> tokens;
  tokens.reserve(vocabulary.json().size());
  for (const Json& item : vocabulary.json()) {
    if (!item.is_array() || item.size() != 2 || !item[0].is_string() || !item[1].is_number()) {
      vocabulary.fail(
          fmt::format("entry {} is wrong: expected [token, score], got {}", tokens.size(),
                      quote(item.dump(-1, ' ', false, Json::error_handler_t::replace))));
    }
    tokens.push_back({item[0].get_ref<const std::string&>(), item[1].get<double>()});
  }
  Unigram::Options options;
  options.byte_fallback = json.boolean("byte_fallback", false);
  if (json.has("unk_id")) {
    if (tokens.empty()) vocabulary.fail("the list is empty: expected at least the unknown token");
    options.unk_id =
        static_cast<uint32_t>(json.at("unk_id").integer(static_cast<int64_t>(tokens.size()) - 1));
  }
  return std::make_unique<Unigram>(tokens, options, vocabulary.where());
}

}  // namespace peft::tokenizers
