#include "peft/tokenizers/models/word_cache.h"

#include <functional>

namespace peft::tokenizers {
namespace {

constexpr size_t kFirstSlots = 1 << 12;
constexpr size_t kMostSlots = 1 << 17;
constexpr size_t kLongestWord = 256;  // bytes

uint32_t hash_of(std::string_view word) {
  return static_cast<uint32_t>(std::hash<std::string_view>{}(word));
}

}  // namespace

WordCache::WordCache() : slots_(kFirstSlots) {}

size_t WordCache::slot_of(std::string_view word, uint32_t hash) const {
  const size_t mask = slots_.size() - 1;
  size_t at = hash & mask;
  for (;; at = (at + 1) & mask) {
    const Slot& slot = slots_[at];
    if (slot.length == 0) return at;
    if (slot.hash == hash && slot.length == word.size() &&
        std::string_view(letters_).substr(slot.letters, slot.length) == word) {
      return at;
    }
  }
}

std::span<const Token> WordCache::find(std::string_view word) {
  const Slot& slot = slots_[slot_of(word, hash_of(word))];
  if (slot.length == 0) return {};
  return {tokens_.data() + slot.tokens, slot.count};
}

void WordCache::insert(std::string_view word, std::span<const Token> tokens) {
  if (word.size() > kLongestWord || tokens.empty()) return;
  if (used_ * 2 >= slots_.size()) grow();
  const uint32_t hash = hash_of(word);
  slots_[slot_of(word, hash)] = {
      hash, static_cast<uint32_t>(word.size()), static_cast<uint32_t>(letters_.size()),
      static_cast<uint32_t>(tokens_.size()), static_cast<uint32_t>(tokens.size())};
  letters_.append(word);
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  ++used_;
}

void WordCache::grow() {
  if (slots_.size() >= kMostSlots) return clear();
  std::vector<Slot> old(slots_.size() * 2);
  old.swap(slots_);
  for (const Slot& slot : old) {
    if (slot.length == 0) continue;
    const std::string_view word = std::string_view(letters_).substr(slot.letters, slot.length);
    slots_[slot_of(word, slot.hash)] = slot;
  }
}

void WordCache::clear() {
  slots_.assign(slots_.size(), {});
  letters_.clear();
  tokens_.clear();
  used_ = 0;
}

std::unique_ptr<WordCache> WordCachePool::take() {
  const std::lock_guard lock(mutex_);
  if (idle_.empty()) return std::make_unique<WordCache>();
  std::unique_ptr<WordCache> cache = std::move(idle_.back());
  idle_.pop_back();
  return cache;
}

void WordCachePool::give_back(std::unique_ptr<WordCache> cache) {
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(cache));
}

}  // namespace peft::tokenizers
