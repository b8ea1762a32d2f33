#include "peft/tokenizers/aligned_text.h"

#include <fmt/core.h>

#include <algorithm>

#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/tokenizers/unicode.h"

namespace peft::tokenizers {
namespace {

/// How long a text may become: some characters decompose into eighteen, and a file may put
/// something in front of it. Stages that pile up ("a" by "aa", forty times) would fill the memory.
size_t longest_made_of(size_t bytes) { return 64 * bytes + (size_t{1} << 20); }

}  // namespace

AlignedText::AlignedText(std::string_view original, size_t origin)
    : original_(original), origin_(origin), runs_{{0, {origin, origin}, true}} {}

size_t AlignedText::run_at(size_t at) const {
  const auto after = std::upper_bound(runs_.begin(), runs_.end(), at,
                                      [](size_t value, const Run& run) { return value < run.at; });
  return static_cast<size_t>(after - runs_.begin()) - 1;
}

Range AlignedText::source_of_byte(size_t at) const {
  const Run& run = runs_[run_at(at)];
  if (!run.mirror) return run.from;
  const std::string_view all = text();
  size_t begin = at;
  while (begin > run.at && is_continuation(all[begin])) --begin;
  size_t end = at + 1;
  while (end < all.size() && is_continuation(all[end])) ++end;
  return {run.from.begin + (begin - run.at), run.from.begin + (end - run.at)};
}

Range AlignedText::source(Range range) const {
  if (range.begin == range.end) {
    const size_t at = range.begin == 0 ? origin_ : source_of_byte(range.begin - 1).end;
    return {at, at};
  }
  return {source_of_byte(range.begin).begin, source_of_byte(range.end - 1).end};
}

AlignedText::Editor::Editor(AlignedText& base) : base_(base) { text_.reserve(base.text().size()); }

void AlignedText::Editor::add(Run run) {
  if (!runs_.empty()) {
    const Run& last = runs_.back();
    if (last.mirror && run.mirror && run.from.begin - last.from.begin == run.at - last.at &&
        run.from.begin >= last.from.begin) {
      return;  // goes on where the last run is
    }
    if (!last.mirror && !run.mirror && last.from == run.from) return;
  }
  runs_.push_back(run);
}

void AlignedText::Editor::keep(size_t bytes) {
  const std::vector<Run>& old = base_.runs_;
  const size_t end = position_ + bytes;
  while (position_ < end) {
    while (run_ + 1 < old.size() && old[run_ + 1].at <= position_) ++run_;
    const Run& run = old[run_];
    const size_t stop = run_ + 1 < old.size() ? std::min(end, old[run_ + 1].at) : end;
    const size_t shift = run.mirror ? position_ - run.at : 0;
    add({text_.size(), {run.from.begin + shift, run.from.end}, run.mirror});
    text_.append(base_.text().substr(position_, stop - position_));
    position_ = stop;
  }
}

void AlignedText::Editor::put(std::string_view text, Range from) {
  if (text.empty()) return;
  const size_t longest = longest_made_of(base_.original_.size());
  if (text.size() > longest - std::min(longest, text_.size())) {
    throw FormatError(fmt::format(
        "tokenizer: the normalizers make a text of {} too long: expected at most {}, got "
        "more. Look for a Replace or Prepend in the tokenizer's file.",
        human_bytes(base_.original_.size()), human_bytes(longest)));
  }
  add({text_.size(), from, false});
  text_.append(text);
}

void AlignedText::Editor::put_as_next(std::string_view text) {
  put(text, base_.source_of_byte(position_));
}

void AlignedText::Editor::put_as_previous(std::string_view text) {
  put(text,
      position_ == 0 ? Range{base_.origin_, base_.origin_} : base_.source_of_byte(position_ - 1));
}

void AlignedText::Editor::commit() {
  keep(base_.text().size() - position_);
  if (runs_.empty()) runs_.push_back({0, {base_.origin_, base_.origin_}, true});
  base_.owned_ = std::move(text_);
  base_.runs_ = std::move(runs_);
  base_.changed_ = true;
}

}  // namespace peft::tokenizers
