#include "peft/tokenizers/named_tokens.h"

#include <fmt/core.h>

#include <map>
#include <unordered_map>

#include "peft/base/text.h"

namespace peft::tokenizers {
namespace {

/// "</s>", or an object with the text and how it is looked for.
AddedToken read_named(const JsonView& json) {
  if (!json.json().is_object()) return NamedTokens::special(json.string());
  AddedToken token = NamedTokens::special(json.at("content").string());
  token.single_word = json.boolean("single_word", false);
  token.lstrip = json.boolean("lstrip", false);
  token.rstrip = json.boolean("rstrip", false);
  token.normalized = json.boolean("normalized", false);
  return token;
}

/// {"32000": {"content": ...}}, in the order of the ids.
std::vector<AddedToken> read_by_id(const JsonView& json) {
  if (!json.json().is_object()) json.fail("expected an object of ids and tokens");
  std::map<uint32_t, AddedToken> by_id;
  for (const auto& [key, value] : json.json().get_ref<const Json::object_t&>()) {
    const auto id = whole_number<uint32_t>(key);
    if (!id) json.fail("expected ids, got " + quote(key));
    const JsonView item(value, fmt::format("{}.{}", json.where(), key));
    AddedToken token = read_named(item);
    token.special = item.json().is_object() && item.boolean("special", false);
    token.normalized = item.json().is_object() && item.boolean("normalized", !token.special);
    by_id.emplace(*id, std::move(token));
  }
  std::vector<AddedToken> tokens;
  for (auto& [id, token] : by_id) tokens.push_back(std::move(token));
  return tokens;
}

}  // namespace

NamedTokens::NamedTokens(const JsonView& config, const std::vector<Role>& roles) {
  for (const Role& role : roles) {
    if (config.has(role.key)) {
      named_.emplace_back(role.key, read_named(config.at(role.key)));
    } else if (!role.text.empty()) {
      named_.emplace_back(role.key, special(std::string(role.text)));
    }
  }
  if (config.has("added_tokens_decoder")) {
    decoder_ = read_by_id(config.at("added_tokens_decoder"));
  }
}

std::string NamedTokens::text(std::string_view key) const {
  for (const auto& [name, token] : named_) {
    if (name == key) return token.content;
  }
  return "";
}

std::vector<AddedToken> NamedTokens::added(std::vector<AddedToken> more) const {
  std::vector<AddedToken> tokens;
  std::unordered_map<std::string, size_t> places;
  const auto add = [&](const AddedToken& token) {
    const auto [place, is_new] = places.emplace(token.content, tokens.size());
    if (is_new) {
      tokens.push_back(token);
    } else if (token.special) {
      tokens[place->second].special = true;
    }
  };
  for (const AddedToken& token : decoder_) add(token);
  for (const auto& [name, token] : named_) add(token);
  for (const AddedToken& token : more) add(token);
  return tokens;
}

void NamedTokens::set_ids(Tokenizer& tokenizer) const {
  const auto set = [&](std::string_view key, std::optional<int64_t>& id) {
    if (const std::string name = text(key); !name.empty()) id = tokenizer.token_to_id(name);
  };
  set("bos_token", tokenizer.bos_id);
  set("eos_token", tokenizer.eos_id);
  set("unk_token", tokenizer.unk_id);
  set("pad_token", tokenizer.pad_id);
  set("sep_token", tokenizer.sep_id);
  set("cls_token", tokenizer.cls_id);
  set("mask_token", tokenizer.mask_id);
}

AddedToken NamedTokens::special(std::string text) {
  return {.content = std::move(text), .normalized = false, .special = true};
}

}  // namespace peft::tokenizers
