#include "peft/tokenizers/models/vocabulary.h"

#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <functional>

#include "peft/base/error.h"
#include "peft/base/text.h"

namespace peft::tokenizers {
namespace {

constexpr uint64_t kMostHoles = 1 << 20;  // ids that may be missing, beyond one for each token
constexpr uint64_t kMostLetters = uint64_t{1} << 32;

}  // namespace

Vocabulary::Vocabulary(const std::vector<Entry>& entries, const std::string& where) {
  uint64_t top = 0, letters = 0;
  for (const Entry& entry : entries) {
    top = std::max<uint64_t>(top, uint64_t{entry.id} + 1);
    letters += entry.token.size();
  }
  const uint64_t most = entries.size() * 2 + kMostHoles;
  if (top > most || letters > kMostLetters) {
    throw FormatError(
        fmt::format("{}: a token id is out of range: expected below {} for {} tokens, got {}.",
                    where, most, entries.size(), top - 1));
  }
  texts_.resize(top);
  letters_.reserve(letters);
  slots_.assign(std::bit_ceil(entries.size() * 2 + 1), 0);
  for (const Entry& entry : entries) {
    if (!is_valid_utf8(entry.token)) {
      throw FormatError(
          fmt::format("{}: token {} is not UTF-8: got {}.", where, entry.id, quote(entry.token)));
    }
    Text& text = texts_[entry.id];
    if (text.used) {
      throw FormatError(fmt::format("{}: token id {} is used twice, by {} and {}.", where, entry.id,
                                    quote(this->text(entry.id)), quote(entry.token)));
    }
    text = {letters_.size(), static_cast<uint32_t>(entry.token.size()), true};
    letters_.append(entry.token);
    uint32_t& slot = slots_[slot_of(entry.token)];
    if (slot == 0) ++size_;
    slot = entry.id + 1;
  }
}

size_t Vocabulary::slot_of(std::string_view token) const {
  const size_t mask = slots_.size() - 1;
  size_t slot = std::hash<std::string_view>{}(token)&mask;
  while (slots_[slot] != 0 && text(slots_[slot] - 1) != token) slot = (slot + 1) & mask;
  return slot;
}

std::optional<uint32_t> Vocabulary::find(std::string_view token) const {
  const uint32_t found = slots_[slot_of(token)];
  if (found == 0) return std::nullopt;
  return found - 1;
}

uint32_t Vocabulary::unknown(std::string_view unk_token) const {
  if (const auto id = find(unk_token)) return *id;
  throw FormatError(
      fmt::format("tokenizer: the unknown token {} is not in the vocabulary.", quote(unk_token)));
}

std::optional<std::string_view> Vocabulary::token(uint32_t id) const {
  if (id >= texts_.size() || !texts_[id].used) return std::nullopt;
  return text(id);
}

}  // namespace peft::tokenizers
