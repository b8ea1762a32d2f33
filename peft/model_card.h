#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "peft/adapter/tuner.h"

namespace peft {

/// A README.md of the Hub: metadata between two lines of dashes, and a text. Entries that nobody
/// sets keep their values; nested ones keep their lines.
///
/// Source: RepoCard in huggingface_hub/repocard.py.
class ModelCard {
 public:
  /// A card without metadata and text.
  ModelCard() = default;
  /// Throws: FormatError "<where>: ..." where the metadata is not a block of keys.
  ModelCard(const std::string& content, const std::string& where);

  /// True where the key is there with another value than null.
  bool has(const std::string& key) const;
  /// The strings of a list, or the one string; empty where the key is absent.
  /// Throws: FormatError where the value is something else.
  std::vector<std::string> strings(const std::string& key) const;

  /// Replaces an entry in its place, or adds it behind the others.
  void set(const std::string& key, const std::string& value);
  void set(const std::string& key, const std::vector<std::string>& values);

  /// What stands behind the metadata.
  const std::string& text() const { return text_; }
  void set_text(std::string text) { text_ = std::move(text); }

  /// The whole file, with the line ends of the one that was read.
  std::string content() const;

 private:
  struct Entry {
    std::string key;
    std::vector<std::string> lines;  // as they stand in the file, without their ends
  };
  const Entry* find(const std::string& key) const;
  Entry& entry(const std::string& key);
  std::vector<std::string> lines_of_entry(const Entry& entry) const;
  void read_metadata(const std::vector<std::string>& lines);

  std::vector<Entry> entries_;
  std::string text_, line_end_ = "\n", where_;
};

/// The lines of a text, without their ends, which are \n, \r\n or \r.
std::vector<std::string> lines_of(const std::string& text);

/// Writes or brings up to date the README.md of a folder of adapters: library, tags, base model,
/// kind of task, quantisation and version of PEFT. A card that is there keeps its text and tags.
/// Throws: FormatError (a card whose metadata cannot be read; the file is then untouched), IoError.
/// Source: PeftModel.create_or_update_model_card.
void create_or_update_model_card(const Tuner& tuner, const std::filesystem::path& folder);

}  // namespace peft
