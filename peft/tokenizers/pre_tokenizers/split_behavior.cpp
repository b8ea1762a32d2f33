#include "peft/tokenizers/pre_tokenizers/pre_tokenizer.h"

namespace peft::tokenizers {
namespace {

/// Joins the matches with the stretches before them.
void merge_with_previous(std::vector<Stretch>& stretches) {
  size_t kept = 0;
  bool previous = false;
  for (const Stretch& stretch : stretches) {
    const bool match = stretch.match;
    if (match && !previous && kept > 0) {
      stretches[kept - 1].range.end = stretch.range.end;
    } else {
      stretches[kept++] = stretch;
    }
    previous = match;
  }
  stretches.resize(kept);
}

/// Joins the matches with the stretches behind them. The second of two matches goes its own way.
void merge_with_next(std::vector<Stretch>& stretches) {
  std::vector<Stretch> reversed;
  bool previous = false;
  for (size_t i = stretches.size(); i-- > 0;) {
    const Stretch& stretch = stretches[i];
    if (stretch.match && !previous && !reversed.empty()) {
      reversed.back().range.begin = stretch.range.begin;
    } else {
      reversed.push_back(stretch);
    }
    previous = stretch.match;
  }
  stretches.assign(reversed.rbegin(), reversed.rend());
}

/// Joins matches that touch, and what is between them.
void join_contiguous(std::vector<Stretch>& stretches) {
  size_t kept = 0;
  bool previous = false;
  for (const Stretch& stretch : stretches) {
    const bool match = stretch.match;
    if (match == previous && kept > 0) {
      stretches[kept - 1].range.end = stretch.range.end;
    } else {
      stretches[kept++] = stretch;
    }
    previous = match;
  }
  stretches.resize(kept);
}

void apply_behavior(SplitBehavior behavior, std::vector<Stretch>& stretches) {
  switch (behavior) {
    case SplitBehavior::kRemoved:
      std::erase_if(stretches, [](const Stretch& stretch) { return stretch.match; });
      break;
    case SplitBehavior::kIsolated:
      break;
    case SplitBehavior::kMergedWithPrevious:
      merge_with_previous(stretches);
      break;
    case SplitBehavior::kMergedWithNext:
      merge_with_next(stretches);
      break;
    case SplitBehavior::kContiguous:
      join_contiguous(stretches);
      break;
  }
}

}  // namespace

void split_pieces(Segment& segment, SplitBehavior behavior,
                  const std::function<void(std::string_view, std::vector<Stretch>&)>& find) {
  std::vector<Piece> pieces;
  pieces.reserve(segment.pieces.size());
  std::vector<Stretch> stretches;
  for (const Piece& piece : segment.pieces) {
    if (piece.added) {
      pieces.push_back(piece);
      continue;
    }
    stretches.clear();
    find(segment.view(piece), stretches);
    apply_behavior(behavior, stretches);
    for (const Stretch& stretch : stretches) {
      if (stretch.range.begin == stretch.range.end) continue;
      const size_t start = piece.range.begin;
      pieces.push_back({{start + stretch.range.begin, start + stretch.range.end}, std::nullopt});
    }
  }
  segment.pieces = std::move(pieces);
}

}  // namespace peft::tokenizers
