#include "peft/tokenizers/models/merges.h"

#include <algorithm>
#include <bit>

namespace peft::tokenizers {
namespace {

/// Up to here looking at all pairs each time is faster than keeping a heap.
constexpr size_t kShort = 48;

uint64_t pair_of(uint32_t left, uint32_t right) { return uint64_t{left} << 32 | right; }

}  // namespace

MergeTable::MergeTable(const std::vector<Merge>& merges) {
  slots_.resize(std::bit_ceil(merges.size() * 2 + 2));
  shift_ = 64 - std::countr_zero(slots_.size());
  for (const Merge& merge : merges) {
    Slot& slot = slots_[slot_of(pair_of(merge.left, merge.right))];
    slot = {pair_of(merge.left, merge.right), {merge.rank, merge.result}};
  }
}

size_t MergeTable::slot_of(uint64_t pair) const {
  constexpr uint64_t kGolden = 0x9E3779B97F4A7C15;  // 2^64 over the golden ratio spreads the bits
  size_t slot = ((pair ^ pair >> 32) * kGolden) >> shift_;
  while (slots_[slot].pair != pair && slots_[slot].pair != UINT64_MAX) {
    slot = (slot + 1) & (slots_.size() - 1);
  }
  return slot;
}

MergeTable::Found MergeTable::find(uint32_t left, uint32_t right) const {
  return slots_[slot_of(pair_of(left, right))].found;
}

void Merger::merge(std::vector<Token>& tokens, size_t from) {
  const size_t count = tokens.size() - from;
  if (count < 2) return;
  if (count <= kShort) {
    merge_short(tokens, from);
  } else {
    merge_long(tokens, from);
  }
}

void Merger::merge_short(std::vector<Token>& tokens, size_t from) {
  Token* const word = tokens.data() + from;
  size_t count = tokens.size() - from;
  pairs_.resize(kShort);
  for (size_t i = 0; i + 1 < count; ++i) pairs_[i] = table_.find(word[i].id, word[i + 1].id);
  while (count > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < count; ++i) {
      if (pairs_[i].rank < pairs_[best].rank) best = i;
    }
    if (pairs_[best].rank == MergeTable::kNone) break;
    word[best] = {pairs_[best].result, word[best].length + word[best + 1].length};
    std::copy(word + best + 2, word + count, word + best + 1);
    std::copy(pairs_.begin() + best + 1, pairs_.begin() + count - 1, pairs_.begin() + best);
    --count;
    if (best > 0) pairs_[best - 1] = table_.find(word[best - 1].id, word[best].id);
    if (best + 1 < count) pairs_[best] = table_.find(word[best].id, word[best + 1].id);
  }
  tokens.resize(from + count);
}

void Merger::propose(const Token* tokens, uint32_t left, uint32_t right) {
  const MergeTable::Found found = table_.find(tokens[left].id, tokens[right].id);
  if (found.rank == MergeTable::kNone) return;
  heap_.push_back({found.rank, left, found.result});
}

void Merger::merge_long(std::vector<Token>& tokens, size_t from) {
  constexpr uint32_t kEnd = UINT32_MAX;
  Token* const word = tokens.data() + from;
  const auto count = static_cast<uint32_t>(tokens.size() - from);
  links_.resize(count);
  heap_.clear();
  for (uint32_t i = 0; i < count; ++i) {
    links_[i] = {i == 0 ? kEnd : i - 1, i + 1 == count ? kEnd : i + 1};
    if (i + 1 < count) propose(word, i, i + 1);
  }
  std::make_heap(heap_.begin(), heap_.end());
  while (!heap_.empty()) {
    const Candidate top = heap_.front();
    std::pop_heap(heap_.begin(), heap_.end());
    heap_.pop_back();
    const uint32_t left = top.position, right = links_[left].next;
    if (word[left].length == 0 || right == kEnd) continue;
    const MergeTable::Found now = table_.find(word[left].id, word[right].id);
    if (now.rank == MergeTable::kNone || now.result != top.result) continue;  // out of date
    word[left] = {top.result, word[left].length + word[right].length};
    word[right].length = 0;  // gone
    const uint32_t next = links_[right].next, previous = links_[left].previous;
    links_[left].next = next;
    if (next != kEnd) links_[next].previous = left;
    const size_t before = heap_.size();
    if (previous != kEnd) propose(word, previous, left);
    if (heap_.size() > before) std::push_heap(heap_.begin(), heap_.end());
    const size_t between = heap_.size();
    if (next != kEnd) propose(word, left, next);
    if (heap_.size() > between) std::push_heap(heap_.begin(), heap_.end());
  }
  const auto gone = [](const Token& token) { return token.length == 0; };
  tokens.erase(
      std::remove_if(tokens.begin() + static_cast<std::ptrdiff_t>(from), tokens.end(), gone),
      tokens.end());
}

}  // namespace peft::tokenizers
