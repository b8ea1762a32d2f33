#include "cli/gguf_tokenizer_json.h"

#include <algorithm>

#include "peft/base/json_text.h"
#include "peft/tokenizers/gguf_pre_tokenizers.h"

namespace peft::cli {

namespace {

/// `tokenizer.ggml.token_type`.
enum TokenType { kUnknown = 2, kControl = 3, kUserDefined = 4 };

Json value_of(const Json& metadata, const char* key) {
  return metadata.contains(key) ? metadata[key] : Json();
}

Json added_tokens(const Json& tokens, const Json& types) {
  Json added = Json::array();
  for (size_t id = 0; id < std::min(types.size(), tokens.size()); ++id) {
    const auto type = types[id].get<int64_t>();
    if (type != kUnknown && type != kControl && type != kUserDefined) continue;
    added.push_back({{"id", id},
                     {"content", tokens[id]},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", type != kUserDefined}});
  }
  return added;
}

Json byte_level() {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", true},
          {"use_regex", true}};
}

/// Puts the token that begins every text in front, where the file asks for one.
Json post_processor(const Json& metadata, bool add_bos) {
  const Json bos = value_of(metadata, "tokenizer.ggml.bos_token_id");
  const Json asked = value_of(metadata, "tokenizer.ggml.add_bos_token");
  const Json& tokens = metadata["tokenizer.ggml.tokens"];
  if (!bos.is_number_integer() || bos.get<size_t>() >= tokens.size() ||
      !(asked.is_boolean() ? asked.get<bool>() : add_bos))
    return byte_level();
  const Json& text = tokens[bos.get<size_t>()];
  const Json first = {{"SpecialToken", {{"id", text}, {"type_id", 0}}}};
  const auto sequence = [](const char* name, int type) {
    return Json{{"Sequence", {{"id", name}, {"type_id", type}}}};
  };
  Json special = Json::object();
  special[text.get<std::string>()] = {
      {"id", text}, {"ids", Json::array({bos})}, {"tokens", Json::array({text})}};
  return {{"type", "TemplateProcessing"},
          {"single", Json::array({first, sequence("A", 0)})},
          {"pair", Json::array({first, sequence("A", 0), first, sequence("B", 1)})},
          {"special_tokens", special}};
}

Json tokenizer_config(const Json& metadata) {
  Json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                 {"clean_up_tokenization_spaces", false}};
  const Json& tokens = metadata["tokenizer.ggml.tokens"];
  for (const auto& [name, key] : {std::pair{"bos_token", "tokenizer.ggml.bos_token_id"},
                                  std::pair{"eos_token", "tokenizer.ggml.eos_token_id"},
                                  std::pair{"unk_token", "tokenizer.ggml.unknown_token_id"},
                                  std::pair{"pad_token", "tokenizer.ggml.padding_token_id"}}) {
    const Json id = value_of(metadata, key);
    if (id.is_number_integer() && id.get<size_t>() < tokens.size())
      config[name] = tokens[id.get<size_t>()];
  }
  return config;
}

}  // namespace

std::optional<TokenizerFiles> tokenizer_files_of_gguf(const Json& metadata,
                                                      const std::string& where) {
  const Json merges = metadata.is_object() ? value_of(metadata, "tokenizer.ggml.merges") : Json();
  if (!merges.is_array() || value_of(metadata, "tokenizer.ggml.model") != "gpt2" ||
      !value_of(metadata, "tokenizer.ggml.tokens").is_array())
    return std::nullopt;
  const std::string pre_name = metadata.value("tokenizer.ggml.pre", "default");
  const auto pre = tokenizers::find_gguf_pre_tokenizer(pre_name, where);
  const Json& tokens = metadata["tokenizer.ggml.tokens"];
  Json vocabulary = Json::object();
  auto& entries = vocabulary.get_ref<Json::object_t&>();
  entries.reserve(tokens.size());
  for (size_t id = 0; id < tokens.size(); ++id) {
    // The underlying list: looking for doubles by name would take quadratic time.
    entries.Container::emplace_back(tokens[id].get<std::string>(), Json(id));
  }
  const Json json = {
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens", added_tokens(tokens, value_of(metadata, "tokenizer.ggml.token_type"))},
      {"normalizer", pre.normalizer},
      {"pre_tokenizer", pre.pre_tokenizer},
      {"post_processor", post_processor(metadata, pre.add_bos)},
      {"decoder", byte_level()},
      {"model",
       {{"type", "BPE"},
        {"dropout", nullptr},
        {"unk_token", nullptr},
        {"continuing_subword_prefix", nullptr},
        {"end_of_word_suffix", nullptr},
        {"fuse_unk", false},
        {"byte_fallback", false},
        {"ignore_merges", pre.ignore_merges},
        {"vocab", std::move(vocabulary)},
        {"merges", merges}}}};
  return TokenizerFiles{.tokenizer = dump_json(json, {.indent = 2, .ensure_ascii = false}),
                        .config = tokenizer_config(metadata)};
}

}  // namespace peft::cli
