#include <fmt/core.h>

#include "peft/base/text.h"
#include "peft/tokenizers/models/bpe.h"
#include "peft/tokenizers/models/unigram.h"
#include "peft/tokenizers/models/wordlevel.h"
#include "peft/tokenizers/models/wordpiece.h"

namespace peft::tokenizers {
namespace {

/// The type of a model; files of early days do not say it.
std::string type_of(const JsonView& json) {
  if (json.has("type")) return json.at("type").string();
  if (json.has("merges")) return "BPE";
  if (json.has("max_input_chars_per_word")) return "WordPiece";
  if (!json.has("vocab")) return "";
  if (json.at("vocab").json().is_array()) return "Unigram";
  return json.has("unk_token") ? "WordLevel" : "";
}

}  // namespace

std::vector<Vocabulary::Entry> read_entries(const JsonView& json) {
  constexpr int64_t kMostIds = int64_t{1} << 31;
  if (!json.json().is_object()) json.fail("expected an object of tokens and ids");
  std::vector<Vocabulary::Entry> entries;
  entries.reserve(json.json().size());
  for (const auto& [token, id] : json.json().get_ref<const Json::object_t&>()) {
    // Ids are checked by hand: a view of each would cost more than all the rest.
    if (!id.is_number_unsigned() || id.get<uint64_t>() >= kMostIds) {
      json.fail(fmt::format("the id of {} is wrong: expected an integer from 0 to {}, got {}",
                            quote(token), kMostIds - 1, quote(id.dump())));
    }
    entries.push_back({token, id.get<uint32_t>()});
  }
  return entries;
}

std::unique_ptr<const Model> read_model(const JsonView& json) {
  const std::string type = type_of(json);
  if (type == "BPE") return read_bpe(json);
  if (type == "WordPiece") return read_wordpiece(json);
  if (type == "WordLevel") return read_wordlevel(json);
  if (type == "Unigram") return read_unigram(json);
  fail_unknown_type(json, "tokenizer model", {"BPE", "WordPiece", "WordLevel", "Unigram"});
}

}  // namespace peft::tokenizers
