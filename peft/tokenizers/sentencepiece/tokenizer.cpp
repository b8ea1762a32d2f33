#include <fmt/core.h>

#include <algorithm>
#include <unordered_set>

#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/tokenizers/models/bpe.h"
#include "peft/tokenizers/models/unigram.h"
#include "peft/tokenizers/named_tokens.h"
#include "peft/tokenizers/normalizers/stages.h"
#include "peft/tokenizers/pipeline.h"
#include "peft/tokenizers/processors/template_pieces.h"
#include "peft/tokenizers/sentencepiece/model_file.h"
#include "peft/tokenizers/unicode.h"

// Tokenizers out of SentencePiece models, as transformers makes them: what the model lacks, such
// as the tokens around a text, depends on the class that tokenizer_config.json names.
// Source: transformers src/transformers/convert_slow_tokenizer.py SentencePieceExtractor and
// SpmConverter, models/llama/tokenization_llama.py, models/t5/tokenization_t5.py,
// models/xlm_roberta/tokenization_xlm_roberta.py
namespace peft::tokenizers {
namespace {

constexpr std::string_view kBlankMark = "\u2581";
/// A longer token would take too long to take apart, and none is made.
constexpr size_t kLongestPiece = 1024;

using ScoredPieces = std::vector<SentencePieceModel::Piece>;

/// A model file and what the folder says about it.
struct Source {
  const SentencePieceModel& model;
  JsonView config;
  std::string where;

  /// Pieces that are looked for in the text before anything else.
  std::vector<AddedToken> symbols() const {
    std::vector<AddedToken> added;
    for (const auto& piece : model.pieces) {
      if (piece.type != SentencePieceModel::kControl &&
          piece.type != SentencePieceModel::kUserDefined) {
        continue;
      }
      added.push_back(NamedTokens::special(piece.text));
    }
    return added;
  }
};

/// The merges that a vocabulary means: any two neighbours that make a token together, the token of
/// the lowest id first. Source: transformers tokenization_utils_base.py generate_merges
std::vector<MergeTable::Merge> merges_by_id(const Source& source, const Vocabulary& known) {
  std::vector<MergeTable::Merge> merges;
  const ScoredPieces& pieces = source.model.pieces;
  for (size_t id = 0; id < pieces.size(); ++id) {
    const std::string_view text = pieces[id].text;
    if (text.size() > kLongestPiece) {
      throw FormatError(
          fmt::format("{}: piece {} is too long: expected at most {} bytes, got {}. Check the "
                      "file, or fetch it again.",
                      source.where, id, kLongestPiece, text.size()));
    }
    for (size_t cut = 1; cut < text.size(); ++cut) {
      if (is_continuation(text[cut])) continue;
      const auto left = known.find(text.substr(0, cut)), right = known.find(text.substr(cut));
      if (!left || !right) continue;
      merges.push_back(
          {*left, *right, static_cast<uint32_t>(merges.size()), static_cast<uint32_t>(id)});
    }
  }
  return merges;
}

std::unique_ptr<const Model> make_bpe(const Source& source, BpeOptions options) {
  std::vector<Vocabulary::Entry> entries;
  for (const auto& piece : source.model.pieces) {
    entries.push_back({piece.text, static_cast<uint32_t>(entries.size())});
  }
  Vocabulary vocabulary(entries, source.where);
  const auto merges = merges_by_id(source, vocabulary);
  options.fuse_unk = true;
  return std::make_unique<Bpe>(std::move(vocabulary), merges, std::move(options));
}

std::unique_ptr<const Model> make_unigram(const Source& source, const ScoredPieces& pieces,
                                          Unigram::Options options) {
  if (options.unk_id && *options.unk_id >= pieces.size()) {
    throw FormatError(fmt::format(
        "{}: the unknown token is out of range: expected an id below {}, got {}. Check the file, "
        "or fetch it again.",
        source.where, pieces.size(), *options.unk_id));
  }
  std::vector<Unigram::Scored> tokens;
  tokens.reserve(pieces.size());
  for (const auto& piece : pieces) tokens.push_back({piece.text, piece.score});
  return std::make_unique<Unigram>(tokens, options, source.where);
}

Json metaspace(std::string_view scheme, bool split) {
  return {{"type", "Metaspace"},
          {"replacement", kBlankMark},
          {"prepend_scheme", scheme},
          {"split", split}};
}

/// Words at white space, each with a mark in front.
Json marked_words(std::string_view scheme) {
  return {{"type", "Sequence"},
          {"pretokenizers", Json::array({{{"type", "WhitespaceSplit"}}, metaspace(scheme, true)})}};
}

/// Blanks back from marks and characters from bytes; then off with the blank in front.
Json blanks_and_bytes(bool bytes, bool strip) {
  Json stages = Json::array();
  stages.push_back({{"type", "Replace"}, {"pattern", {{"String", kBlankMark}}}, {"content", " "}});
  if (bytes) {
    stages.push_back({{"type", "ByteFallback"}});
    stages.push_back({{"type", "Fuse"}});
  }
  if (strip) stages.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  return {{"type", "Sequence"}, {"decoders", stages}};
}

std::shared_ptr<Pipeline> assemble(Stages stages, const NamedTokens& names,
                                   std::vector<AddedToken> more) {
  auto tokenizer = std::make_shared<Pipeline>(std::move(stages), names.added(std::move(more)));
  names.set_ids(*tokenizer);
  return tokenizer;
}

/// The beginning and the end that the config asks for.
void bracket(Pipeline& tokenizer, const JsonView& config) {
  const auto first = config.boolean("add_bos_token", false) ? tokenizer.bos_id : std::nullopt;
  const auto last = config.boolean("add_eos_token", false) ? tokenizer.eos_id : std::nullopt;
  tokenizer.set_processor(make_bracket_processor(first, last));
}

/// Byte-pair encoding of the whole text, blanks as marks, bytes for what is not in the vocabulary.
std::shared_ptr<Tokenizer> make_llama_like(const Source& source) {
  const bool prefix = source.config.boolean("add_prefix_space", true);
  const bool legacy = source.config.boolean("legacy", false);
  const Json pre_tokenizer = metaspace(!prefix ? "never" : legacy ? "always" : "first", false);
  const Json decoder = blanks_and_bytes(true, prefix);
  Stages stages;
  stages.pre_tokenizer = read_pre_tokenizer({pre_tokenizer, source.where});
  stages.model = make_bpe(source, {.byte_fallback = true});
  stages.decoder = read_decoder({decoder, source.where});
  const NamedTokens names(
      source.config,
      {{"bos_token", "<s>"}, {"eos_token", "</s>"}, {"unk_token", "<unk>"}, {"pad_token", ""}});
  auto tokenizer = assemble(std::move(stages), names, source.symbols());
  bracket(*tokenizer, source.config);
  return tokenizer;
}

/// What T5 and XLM-RoBERTa have in common.
Stages unigram_stages(const Source& source, const ScoredPieces& pieces, uint32_t unk_id,
                      std::string_view scheme) {
  const Json pre_tokenizer = marked_words(scheme), decoder = metaspace(scheme, true);
  Stages stages;
  if (!source.model.char_map.empty()) {
    stages.normalizer = make_precompiled(source.model.char_map, source.where);
  }
  stages.pre_tokenizer = read_pre_tokenizer({pre_tokenizer, source.where});
  stages.model = make_unigram(source, pieces, {.unk_id = unk_id});
  stages.decoder = read_decoder({decoder, source.where});
  return stages;
}

/// The pieces, then <extra_id_99> to <extra_id_0>; the end of a text is marked.
std::shared_ptr<Tokenizer> make_t5(const Source& source) {
  constexpr int64_t kMostExtraIds = 100'000;
  const int64_t count =
      source.config.has("extra_ids") ? source.config.at("extra_ids").integer(kMostExtraIds) : 100;
  ScoredPieces pieces = source.model.pieces;
  std::vector<AddedToken> more = source.symbols();
  for (int64_t i = count; i-- > 0;) pieces.push_back({.text = fmt::format("<extra_id_{}>", i)});
  for (int64_t i = 0; i < count; ++i) {
    more.push_back(NamedTokens::special(fmt::format("<extra_id_{}>", i)));
  }
  const NamedTokens names(source.config,
                          {{"eos_token", "</s>"}, {"unk_token", "<unk>"}, {"pad_token", "<pad>"}});
  auto tokenizer = assemble(unigram_stages(source, pieces, 2, "always"), names, std::move(more));
  const SpecialToken end{tokenizer->eos_id.value_or(1), 0};
  tokenizer->set_processor(make_template_processor({TextPlace{0, 0}, end},
                                                   {TextPlace{0, 0}, end, TextPlace{1, 0}, end}));
  return tokenizer;
}

/// The pieces behind fairseq's four special tokens, and the mask as the last one.
std::shared_ptr<Tokenizer> make_xlm_roberta(const Source& source) {
  const NamedTokens names(source.config, {{"bos_token", "<s>"},
                                          {"eos_token", "</s>"},
                                          {"unk_token", "<unk>"},
                                          {"sep_token", "</s>"},
                                          {"pad_token", "<pad>"},
                                          {"cls_token", "<s>"},
                                          {"mask_token", "<mask>"}});
  ScoredPieces pieces;
  for (const char* role : {"bos_token", "pad_token", "eos_token", "unk_token"}) {
    pieces.push_back({.text = names.text(role)});
  }
  const ScoredPieces& own = source.model.pieces;
  for (size_t i = 3; i < own.size(); ++i) pieces.push_back(own[i]);
  pieces.push_back({.text = names.text("mask_token")});
  const bool prefix = source.config.boolean("add_prefix_space", true);
  auto tokenizer = assemble(unigram_stages(source, pieces, 3, prefix ? "always" : "never"), names,
                            source.symbols());
  const Json processor = {{"type", "RobertaProcessing"},
                          {"trim_offsets", false},
                          {"cls", {names.text("bos_token"), tokenizer->bos_id.value_or(0)}},
                          {"sep", {names.text("eos_token"), tokenizer->eos_id.value_or(2)}}};
  tokenizer->set_processor(read_processor({processor, source.where}, *tokenizer));
  return tokenizer;
}

/// What transformers makes of a class that it does not know.
std::shared_ptr<Tokenizer> make_plain(const Source& source) {
  const SentencePieceModel& model = source.model;
  const Json blanks = {
      {"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", kBlankMark}};
  const Json decoder = blanks_and_bytes(model.byte_fallback, false);
  std::vector<NormalizerPtr> normalizers;
  if (!model.char_map.empty()) {
    normalizers.push_back(make_precompiled(model.char_map, source.where));
  }
  normalizers.push_back(read_normalizer({blanks, source.where}));
  Stages stages;
  stages.normalizer = make_normalizer_sequence(std::move(normalizers));
  if (model.type == SentencePieceModel::Type::kUnigram) {
    const auto unk_id = static_cast<uint32_t>(std::clamp<int64_t>(model.unk_id, 0, INT32_MAX));
    stages.model = make_unigram(source, model.pieces,
                                {.unk_id = unk_id, .byte_fallback = model.byte_fallback});
  } else {
    stages.model =
        make_bpe(source, {.unk_token = model.unk_piece, .byte_fallback = model.byte_fallback});
  }
  stages.decoder = read_decoder({decoder, source.where});
  const NamedTokens names(source.config, {{"bos_token", model.bos_id >= 0 ? model.bos_piece : ""},
                                          {"eos_token", model.eos_id >= 0 ? model.eos_piece : ""},
                                          {"unk_token", model.unk_id >= 0 ? model.unk_piece : ""},
                                          {"pad_token", ""}});
  auto tokenizer = assemble(std::move(stages), names, source.symbols());
  bracket(*tokenizer, source.config);
  return tokenizer;
}

}  // namespace

std::shared_ptr<Tokenizer> Tokenizer::from_sentencepiece(std::string_view bytes,
                                                         const Json& tokenizer_config,
                                                         const std::string& where) {
  const SentencePieceModel model = read_sentencepiece_model(bytes, where);
  const Source source{model, JsonView(tokenizer_config, "tokenizer_config.json"), where};
  std::string name = source.config.string("tokenizer_class", "");
  if (name.ends_with("Fast")) name.resize(name.size() - 4);
  if (name == "LlamaTokenizer") return make_llama_like(source);
  if (name == "T5Tokenizer") return make_t5(source);
  if (name == "XLMRobertaTokenizer") return make_xlm_roberta(source);
  if (name.empty() || name == "PreTrainedTokenizer" || name == "TokenizersBackend") {
    return make_plain(source);
  }
  throw UnsupportedError(fmt::format(
      "{}: tokenizer_class: expected LlamaTokenizer, T5Tokenizer, XLMRobertaTokenizer or none, got "
      "{}. Save the tokenizer as tokenizer.json with Python's save_pretrained.",
      where, quote(name)));
}

}  // namespace peft::tokenizers
