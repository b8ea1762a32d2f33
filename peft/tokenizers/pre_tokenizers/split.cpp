#include "peft/base/regex.h"
#include "peft/tokenizers/pattern.h"
#include "peft/tokenizers/pre_tokenizers/scanners.h"
#include "peft/tokenizers/pre_tokenizers/stages.h"

namespace peft::tokenizers {
namespace {

/// Split with a pattern that has a hand-written scanner: every stretch is a match.
class ScannerSplit : public PreTokenizer {
 public:
  ScannerSplit(Scanner scan, SplitBehavior behavior, bool invert)
      : scan_(scan), behavior_(behavior), invert_(invert) {}

  void apply(Segment& segment) const override {
    split_pieces(segment, behavior_,
                 [this](std::string_view text, std::vector<Stretch>& stretches) {
                   for (size_t at = 0; at < text.size();) {
                     const size_t end = scan_(text, at);
                     stretches.push_back({{at, end}, !invert_});
                     at = end;
                   }
                 });
  }

 private:
  Scanner scan_;
  SplitBehavior behavior_;
  bool invert_;
};

class PatternSplit : public PreTokenizer {
 public:
  PatternSplit(Pattern pattern, SplitBehavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}

  void apply(Segment& segment) const override {
    split_pieces(segment, behavior_,
                 [this](std::string_view text, std::vector<Stretch>& stretches) {
                   stretches_of_matches(text, stretches, pattern_.matches(text));
                   if (!invert_) return;
                   for (Stretch& stretch : stretches) stretch.match = !stretch.match;
                 });
  }

 private:
  Pattern pattern_;
  SplitBehavior behavior_;
  bool invert_;
};

}  // namespace

PreTokenizerPtr make_split(const JsonView& json) {
  const SplitBehavior behavior = read_behavior(json.at("behavior"));
  const bool invert = json.boolean("invert", false);
  const JsonView pattern = json.at("pattern");
  if (pattern.has("Regex")) {
    if (const Scanner scan = find_scanner(pattern.at("Regex").string())) {
      return std::make_unique<ScannerSplit>(scan, behavior, invert);
    }
  }
  return std::make_unique<PatternSplit>(Pattern(pattern), behavior, invert);
}

}  // namespace peft::tokenizers
