#include <fmt/core.h>

#include "peft/base/error.h"
#include "peft/base/json_text.h"
#include "peft/base/text.h"
#include "peft/tokenizers/named_tokens.h"
#include "peft/tokenizers/pipeline.h"

// The older form of GPT-2, RoBERTa and BART: vocab.json, merges.txt, and a tokenizer_config.json
// that says the rest. Source: transformers src/transformers/models/gpt2/tokenization_gpt2.py and
// models/roberta/tokenization_roberta.py
namespace peft::tokenizers {
namespace {

/// A merge a line; a line of the format's version may come first.
Json merges_of_lines(std::string_view text, const std::string& where) {
  if (!is_valid_utf8(text)) {
    throw FormatError(fmt::format(
        "{}: not a list of merges: expected lines in UTF-8. Check the file, or fetch it again.",
        where));
  }
  Json merges = Json::array();
  for (const std::string& line : split(text, '\n')) {
    const std::string_view merge = trim(line);
    if (!merge.empty()) merges.push_back(merge);
  }
  return merges;
}

std::vector<NamedTokens::Role> roles_of(bool roberta) {
  if (!roberta) {
    return {{"bos_token", "<|endoftext|>"},
            {"eos_token", "<|endoftext|>"},
            {"unk_token", "<|endoftext|>"},
            {"pad_token", ""}};
  }
  return {{"bos_token", "<s>"},    {"eos_token", "</s>"},  {"unk_token", "<unk>"},
          {"sep_token", "</s>"},   {"pad_token", "<pad>"}, {"cls_token", "<s>"},
          {"mask_token", "<mask>"}};
}

}  // namespace

std::shared_ptr<Tokenizer> Tokenizer::from_byte_level_vocabulary(std::string_view vocabulary,
                                                                 std::string_view merges,
                                                                 const Json& tokenizer_config,
                                                                 const std::string& where) {
  const JsonView config(tokenizer_config, "tokenizer_config.json");
  const bool roberta = !config.string("tokenizer_class", "").starts_with("GPT2");
  const bool prefix = config.boolean("add_prefix_space", false);
  const NamedTokens names(config, roles_of(roberta));
  const Json stage = {{"type", "ByteLevel"}, {"add_prefix_space", prefix}, {"use_regex", true}};
  Json json = {{"pre_tokenizer", stage}, {"decoder", stage}};
  json["model"] = {{"type", "BPE"}, {"merges", merges_of_lines(merges, where)}};
  json["model"]["vocab"] = parse_json(vocabulary, where);
  const auto tokenizer = read_pipeline(JsonView(json, where), names.added());
  names.set_ids(*tokenizer);
  if (!roberta) {
    const bool bos = config.boolean("add_bos_token", false);
    tokenizer->set_processor(
        make_bracket_processor(bos ? tokenizer->bos_id : std::nullopt, std::nullopt));
    return tokenizer;
  }
  const Json processor = {{"type", "RobertaProcessing"},
                          {"add_prefix_space", prefix},
                          {"trim_offsets", config.boolean("trim_offsets", true)},
                          {"cls", {names.text("cls_token"), tokenizer->cls_id.value_or(0)}},
                          {"sep", {names.text("sep_token"), tokenizer->sep_id.value_or(2)}}};
  tokenizer->set_processor(read_processor({processor, where}, *tokenizer));
  return tokenizer;
}

}  // namespace peft::tokenizers
