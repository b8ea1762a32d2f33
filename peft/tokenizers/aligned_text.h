#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace peft::tokenizers {

/// Half-open byte range.
struct Range {
  size_t begin = 0, end = 0;
  size_t size() const { return end - begin; }
  friend bool operator==(const Range&, const Range&) = default;
};

/// A text that normalizers change, and for every byte of it the range of the original text that it
/// stands for. Until the first change it only views the original.
///
/// The map is a list of runs, as most of a text is copied: a run either mirrors the original
/// (character for character) or stands as a whole for one range of it.
/// Source: tokenizers src/tokenizer/normalizer.rs NormalizedString, which keeps a range per byte.
class AlignedText {
 public:
  /// `original` must be valid UTF-8 and outlive the object; it starts at byte `origin` of the
  /// input.
  explicit AlignedText(std::string_view original, size_t origin = 0);

  std::string_view text() const { return changed_ ? std::string_view(owned_) : original_; }
  size_t origin() const { return origin_; }

  /// Where a byte range of text() comes from. A part of a character counts as whole.
  Range source(Range range) const;

  /// Writes the next version of a text from front to back.
  class Editor;

 private:
  struct Run {
    size_t at;    // first byte in text()
    Range from;   // mirrored: only `begin` counts
    bool mirror;  // byte at + i stands for the character at from.begin + i
  };

  Range source_of_byte(size_t at) const;
  size_t run_at(size_t at) const;

  std::string_view original_;
  std::string owned_;
  size_t origin_ = 0;
  bool changed_ = false;
  std::vector<Run> runs_;
};

class AlignedText::Editor {
 public:
  /// `base` must outlive the editor and is replaced by commit().
  explicit Editor(AlignedText& base);

  /// Number of bytes of the old text that were passed, and of the new text written so far.
  size_t position() const { return position_; }
  size_t written() const { return text_.size(); }

  /// Copies the next bytes.
  void keep(size_t bytes);
  /// Leaves out the next bytes.
  void drop(size_t bytes) { position_ += bytes; }
  /// Writes characters that stand for what the next character stands for.
  /// Throws, as the next one: FormatError where the text grows beyond all measure.
  void put_as_next(std::string_view text);
  /// Writes characters that stand for what the byte before the position stands for; at the very
  /// start for an empty range.
  void put_as_previous(std::string_view text);

  /// Copies the rest and replaces the base's text.
  void commit();

 private:
  void put(std::string_view text, Range from);
  void add(Run run);

  AlignedText& base_;
  std::string text_;
  std::vector<Run> runs_;
  size_t position_ = 0;
  size_t run_ = 0;  // of base_, the one that holds position_ (moves forward)
};

}  // namespace peft::tokenizers
