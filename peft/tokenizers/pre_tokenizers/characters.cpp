#include "peft/base/text.h"
#include "peft/tokenizers/pre_tokenizers/stages.h"
#include "peft/tokenizers/unicode.h"

// The pre-tokenizers that look at one character at a time.
namespace peft::tokenizers {
namespace {

/// Splits at every character that a test takes.
template <typename Test>
class CharacterSplit : public PreTokenizer {
 public:
  CharacterSplit(Test test, SplitBehavior behavior) : test_(test), behavior_(behavior) {}

  void apply(Segment& segment) const override {
    split_pieces(segment, behavior_,
                 [this](std::string_view text, std::vector<Stretch>& stretches) {
                   size_t done = 0;
                   for (size_t at = 0; at < text.size();) {
                     const CodePoint c = decode_utf8(text, at);
                     if (test_(c.value)) {
                       if (at > done) stretches.push_back({{done, at}, false});
                       done = at + c.length;
                       stretches.push_back({{at, done}, true});
                     }
                     at += c.length;
                   }
                   if (done < text.size()) stretches.push_back({{done, text.size()}, false});
                 });
  }

 private:
  Test test_;
  SplitBehavior behavior_;
};

template <typename Test>
PreTokenizerPtr split_at(Test test, SplitBehavior behavior) {
  return std::make_unique<CharacterSplit<Test>>(test, behavior);
}

auto in_class(CharClass wanted) {
  return [table = char_class_table(), wanted](char32_t c) { return (table[c] & wanted) != 0; };
}

/// `\w+|[^\w\s]+`: words and runs of signs; white space is dropped.
class WhitespacePreTokenizer : public PreTokenizer {
 public:
  void apply(Segment& segment) const override {
    split_pieces(segment, SplitBehavior::kRemoved,
                 [](std::string_view text, std::vector<Stretch>& stretches) {
                   for (size_t at = 0; at < text.size();) {
                     const Kind kind = kind_of(text, at);
                     const size_t begin = at;
                     while (at < text.size() && kind_of(text, at) == kind) {
                       at += decode_utf8(text, at).length;
                     }
                     stretches.push_back({{begin, at}, kind == Kind::kBlank});
                   }
                 });
  }

 private:
  enum class Kind { kWord, kSign, kBlank };

  static Kind kind_of(std::string_view text, size_t at) {
    const uint16_t classes = char_class_table()[decode_utf8(text, at).value];
    if (classes & kWord) return Kind::kWord;
    return classes & kSpace ? Kind::kBlank : Kind::kSign;
  }
};

/// Removes white space, then isolates punctuation.
class BertPreTokenizer : public PreTokenizer {
 public:
  void apply(Segment& segment) const override {
    spaces_->apply(segment);
    signs_->apply(segment);
  }

 private:
  PreTokenizerPtr spaces_ = split_at(in_class(kSpace), SplitBehavior::kRemoved);
  PreTokenizerPtr signs_ = split_at(in_class(kPunctuation), SplitBehavior::kIsolated);
};

/// Cuts into pieces of so many characters; the last one may be shorter.
class FixedLength : public PreTokenizer {
 public:
  explicit FixedLength(size_t length) : length_(length) {}

  void apply(Segment& segment) const override {
    split_pieces(segment, SplitBehavior::kIsolated,
                 [this](std::string_view text, std::vector<Stretch>& stretches) {
                   for (size_t at = 0; at < text.size();) {
                     const size_t begin = at;
                     for (size_t i = 0; i < length_ && at < text.size(); ++i) {
                       at += decode_utf8(text, at).length;
                     }
                     stretches.push_back({{begin, at}, true});
                   }
                 });
  }

 private:
  size_t length_;
};

}  // namespace

SplitBehavior read_behavior(const JsonView& json) {
  const std::string name = json.string();
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  json.fail("expected Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous, got " +
            quote(name));
}

PreTokenizerPtr make_digits(const JsonView& json) {
  return split_at(in_class(kNumeric), json.boolean("individual_digits", false)
                                          ? SplitBehavior::kIsolated
                                          : SplitBehavior::kContiguous);
}

PreTokenizerPtr make_punctuation(const JsonView& json) {
  return split_at(in_class(kPunctuation), json.has("behavior") ? read_behavior(json.at("behavior"))
                                                               : SplitBehavior::kIsolated);
}

PreTokenizerPtr make_whitespace(const JsonView&) {
  return std::make_unique<WhitespacePreTokenizer>();
}

PreTokenizerPtr make_whitespace_split(const JsonView&) {
  return split_at(in_class(kSpace), SplitBehavior::kRemoved);
}

PreTokenizerPtr make_char_delimiter_split(const JsonView& json) {
  const std::string delimiter = json.at("delimiter").string();
  if (count_characters(delimiter) != 1) {
    json.at("delimiter").fail("expected one character, got " + quote(delimiter));
  }
  const char32_t wanted = decode_utf8(delimiter, 0).value;
  return split_at([wanted](char32_t c) { return c == wanted; }, SplitBehavior::kRemoved);
}

PreTokenizerPtr make_bert_pre_tokenizer(const JsonView&) {
  return std::make_unique<BertPreTokenizer>();
}

PreTokenizerPtr make_fixed_length(const JsonView& json) {
  const int64_t length = json.has("length") ? json.at("length").integer(1 << 30) : 5;
  if (length == 0) json.at("length").fail("expected at least 1, got 0");
  return std::make_unique<FixedLength>(static_cast<size_t>(length));
}

}  // namespace peft::tokenizers
