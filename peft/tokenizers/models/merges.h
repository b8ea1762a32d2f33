#pragma once

#include <cstdint>
#include <vector>

#include "peft/tokenizers/models/model.h"

namespace peft::tokenizers {

/// Which pairs of neighbours become one token, and which pair goes first.
class MergeTable {
 public:
  struct Merge {
    uint32_t left = 0, right = 0;
    uint32_t rank = 0;  // the lowest goes first
    uint32_t result = 0;
  };

  /// Where a pair occurs twice the last one wins.
  explicit MergeTable(const std::vector<Merge>& merges);

  struct Found {
    uint32_t rank = kNone;
    uint32_t result = 0;
  };
  static constexpr uint32_t kNone = UINT32_MAX;

  /// The merge of a pair; rank kNone if there is none.
  Found find(uint32_t left, uint32_t right) const;

 private:
  struct Slot {
    uint64_t pair = UINT64_MAX;  // left and right side by side
    Found found;
  };

  size_t slot_of(uint64_t pair) const;

  std::vector<Slot> slots_;
  int shift_ = 0;
};

/// Merges the tokens until no pair of neighbours is in the table: always the pair of the lowest
/// rank, of equal ones the leftmost. The lengths are added up. Source: tokenizers
/// src/models/bpe/word.rs Word::merge_all
class Merger {
 public:
  explicit Merger(const MergeTable& table) : table_(table) {}

  /// Works on the tokens from `from` to the end of the list, in place.
  void merge(std::vector<Token>& tokens, size_t from);

 private:
  struct Link {
    uint32_t previous, next;
  };
  struct Candidate {
    uint32_t rank, position, result;
    // For a heap whose top is the smallest.
    bool operator<(const Candidate& other) const {
      return rank != other.rank ? rank > other.rank : position > other.position;
    }
  };

  void merge_short(std::vector<Token>& tokens, size_t from);
  void merge_long(std::vector<Token>& tokens, size_t from);
  void propose(const Token* tokens, uint32_t left, uint32_t right);

  const MergeTable& table_;
  std::vector<MergeTable::Found> pairs_;
  std::vector<Link> links_;
  std::vector<Candidate> heap_;
};

}  // namespace peft::tokenizers
