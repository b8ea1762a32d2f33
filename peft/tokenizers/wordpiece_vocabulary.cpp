#include <fmt/core.h>

#include <algorithm>

#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/tokenizers/models/wordpiece.h"
#include "peft/tokenizers/named_tokens.h"
#include "peft/tokenizers/pipeline.h"
#include "peft/tokenizers/unicode.h"

// BERT's older form: a vocab.txt, and a tokenizer_config.json that says the rest.
namespace peft::tokenizers {
namespace {

std::string_view without_space_behind(std::string_view line) {
  while (!line.empty()) {
    const CodePoint c = decode_utf8_before(line, line.size());
    if ((char_class_table()[c.value] & kSpace) == 0) break;
    line.remove_suffix(c.length);
  }
  return line;
}

/// A token a line, numbered from zero.
std::vector<Vocabulary::Entry> read_lines(std::string_view text, const std::string& where) {
  if (!is_valid_utf8(text)) {
    throw FormatError(fmt::format(
        "{}: not a vocabulary: expected lines in UTF-8. Check the file, or fetch it again.",
        where));
  }
  std::vector<Vocabulary::Entry> entries;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    entries.push_back({without_space_behind(text.substr(begin, end - begin)),
                       static_cast<uint32_t>(entries.size())});
    begin = end + 1;
  }
  return entries;
}

int64_t id_of(const Tokenizer& tokenizer, const std::string& token, const std::string& where) {
  const auto id = tokenizer.token_to_id(token);
  if (id) return *id;
  throw FormatError(
      fmt::format("{}: the token {} is missing: expected it in the vocabulary. Check the file, or "
                  "fetch it again.",
                  where, quote(token)));
}

}  // namespace

std::shared_ptr<Tokenizer> Tokenizer::from_wordpiece_vocabulary(std::string_view vocabulary,
                                                                const Json& tokenizer_config,
                                                                const std::string& where) {
  const JsonView config(tokenizer_config, "tokenizer_config.json");
  const NamedTokens names(config, {{"unk_token", "[UNK]"},
                                   {"sep_token", "[SEP]"},
                                   {"pad_token", "[PAD]"},
                                   {"cls_token", "[CLS]"},
                                   {"mask_token", "[MASK]"}});
  const bool lowercase = config.boolean("do_lower_case", true);
  const Json normalizer = {{"type", "BertNormalizer"},
                           {"clean_text", true},
                           {"handle_chinese_chars", config.boolean("tokenize_chinese_chars", true)},
                           {"strip_accents", config.boolean("strip_accents", lowercase)},
                           {"lowercase", lowercase}};
  const Json pre_tokenizer = {{"type", "BertPreTokenizer"}};
  const Json decoder = {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}};
  Stages stages;
  stages.normalizer = read_normalizer({normalizer, where});
  stages.pre_tokenizer = read_pre_tokenizer({pre_tokenizer, where});
  stages.model = std::make_unique<WordPiece>(
      read_lines(vocabulary, where), WordPieceOptions{.unk_token = names.text("unk_token")}, where);
  stages.decoder = read_decoder({decoder, where});
  auto tokenizer = std::make_shared<Pipeline>(std::move(stages), names.added());
  const std::string cls = names.text("cls_token"), sep = names.text("sep_token");
  const Json processor = {{"type", "BertProcessing"},
                          {"cls", {cls, id_of(*tokenizer, cls, where)}},
                          {"sep", {sep, id_of(*tokenizer, sep, where)}}};
  tokenizer->set_processor(read_processor({processor, where}, *tokenizer));
  names.set_ids(*tokenizer);
  return tokenizer;
}

}  // namespace peft::tokenizers
