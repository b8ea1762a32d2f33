#include <fmt/core.h>

#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/tokenizers/models/bpe.h"
#include "peft/tokenizers/unicode.h"

namespace peft::tokenizers {
namespace {

/// "left right", or ["left", "right"].
std::pair<std::string_view, std::string_view> read_pair(const Json& json, const JsonView& list,
                                                        size_t index) {
  const auto fail = [&]() {
    list.fail(
        fmt::format("merge {} is wrong: expected \"left right\" or [\"left\", \"right\"], got {}",
                    index, quote(json.dump(-1, ' ', false, Json::error_handler_t::replace))));
  };
  if (json.is_string()) {
    const std::string_view both = json.get_ref<const std::string&>();
    const size_t blank = both.find(' ');
    if (blank == std::string_view::npos || both.find(' ', blank + 1) != std::string_view::npos) {
      fail();
    }
    return {both.substr(0, blank), both.substr(blank + 1)};
  }
  if (!json.is_array() || json.size() != 2 || !json[0].is_string() || !json[1].is_string()) fail();
  return {json[0].get_ref<const std::string&>(), json[1].get_ref<const std::string&>()};
}

std::vector<MergeTable::Merge> read_merges(const JsonView& json, const Vocabulary& vocabulary,
                                           size_t prefix_length) {
  if (!json.json().is_array()) json.fail("expected a list of pairs");
  std::vector<MergeTable::Merge> merges;
  merges.reserve(json.json().size());
  const auto id_of = [&](std::string_view token, size_t index) {
    const auto id = vocabulary.find(token);
    if (!id) {
      json.fail(
          fmt::format("merge {} names {}, which is not in the vocabulary", index, quote(token)));
    }
    return *id;
  };
  std::string joined;
  for (const Json& item : json.json()) {
    // The old format starts with a line of its version.
    if (item.is_string() && item.get_ref<const std::string&>().starts_with("#version")) continue;
    const size_t index = merges.size();
    const auto [left, right] = read_pair(item, json, index);
    if (left.empty() || right.size() <= prefix_length) {
      json.fail(fmt::format("merge {} has an empty part", index));
    }
    joined.assign(left).append(right.substr(prefix_length));
    merges.push_back({id_of(left, index), id_of(right, index), static_cast<uint32_t>(index),
                      id_of(joined, index)});
  }
  return merges;
}

}  // namespace

std::unique_ptr<const Model> read_bpe(const JsonView& json) {
  if (json.has("dropout") && json.at("dropout").number() != 0) {
    throw UnsupportedError(fmt::format(
        "{}.dropout: expected none, got {}. Encoding at random is for training tokenizers; set it "
        "to null.",
        json.where(), json.at("dropout").number()));
  }
  BpeOptions options;
  options.unk_token = json.string("unk_token", "");
  options.continuing_subword_prefix = json.string("continuing_subword_prefix", "");
  options.end_of_word_suffix = json.string("end_of_word_suffix", "");
  options.fuse_unk = json.boolean("fuse_unk", false);
  options.byte_fallback = json.boolean("byte_fallback", false);
  options.ignore_merges = json.boolean("ignore_merges", false);
  const JsonView tokens = json.at("vocab");
  Vocabulary vocabulary(read_entries(tokens), tokens.where());
  const auto merges =
      read_merges(json.at("merges"), vocabulary, options.continuing_subword_prefix.size());
  return std::make_unique<Bpe>(std::move(vocabulary), merges, std::move(options));
}

}  // namespace peft::tokenizers
