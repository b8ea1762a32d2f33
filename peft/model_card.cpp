#include "peft/model_card.h"

#include <algorithm>
#include <set>

#include "peft/base/error.h"
#include "peft/base/json_text.h"
#include "peft/base/regex.h"
#include "peft/base/text.h"

namespace peft {
namespace {

// Words that YAML reads as something else than a string.
bool means_another_type(const std::string& text) {
  static const Regex kTypes(
      R"(~|null|Null|NULL|y|Y|n|N|yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|)"
      R"(off|Off|OFF|=|<<|[-+]?(\d[\d_]*)(:[0-5]?\d)*(\.[\d_]*)?([eE][-+]?\d+)?|)"
      R"([-+]?\.\d[\d_]*([eE][-+]?\d+)?|[-+]?0[xb][\da-fA-F_]+|[-+]?\.(inf|Inf|INF)|)"
      R"(\.(nan|NaN|NAN)|\d{4}-\d\d?-\d\d?([Tt ].*)?)",
      Regex::Syntax::kPython, "model card");
  return kTypes.full_match(text);
}

bool can_be_plain(const std::string& text) {
  if (text.empty() || text.front() == ' ' || text.back() == ' ' || text.back() == ':') return false;
  static constexpr std::string_view kIndicators = ",[]{}#&*!|>'\"%@`";
  if (kIndicators.find(text.front()) != std::string_view::npos) return false;
  const bool dash = text.front() == '-' || text.front() == '?' || text.front() == ':';
  if (dash && (text.size() == 1 || text[1] == ' ')) return false;
  if (text.starts_with("---") || text.starts_with("...")) return false;
  return text.find(": ") == std::string::npos && text.find(" #") == std::string::npos &&
         !means_another_type(text);
}

// A string as PyYAML writes it: plain where that is safe, else in quotes.
std::string yaml_text(const std::string& text) {
  const bool control = std::any_of(text.begin(), text.end(), [](unsigned char letter) {
    return letter < 0x20 || letter == 0x7F;
  });
  if (control) return dump_json(text, {.indent = std::nullopt, .ensure_ascii = false});
  if (can_be_plain(text)) return text;
  std::string quoted = "'";
  for (const char letter : text) {
    if (letter == '\'') quoted += '\'';
    quoted += letter;
  }
  return quoted + "'";
}

// The inverse for one scalar on one line; nullopt where it is no simple string.
std::optional<std::string> read_scalar(std::string_view text) {
  text = trim(text);
  if (text.starts_with('"')) {
    try {
      const Json value = parse_json(text, "model card");
      if (value.is_string()) return value.get<std::string>();
    } catch (const FormatError&) {
      return std::nullopt;
    }
    return std::nullopt;
  }
  if (text.starts_with('\'')) {
    if (text.size() < 2 || text.back() != '\'') return std::nullopt;
    std::string plain;
    for (size_t i = 1; i + 1 < text.size(); ++i) {
      if (text[i] == '\'' && text[++i] != '\'') return std::nullopt;
      plain += text[i];
    }
    return plain;
  }
  if (const size_t comment = text.find(" #"); comment != std::string_view::npos) {
    text = trim(text.substr(0, comment));
  }
  static constexpr std::string_view kStructure = "[]{}&*!|>%@`";
  if (!text.empty() && kStructure.find(text.front()) != std::string_view::npos) return std::nullopt;
  return std::string(text);
}

// A value that is a scalar or a list of them, as they are spelled.
struct SimpleValue {
  bool is_list = false;
  std::vector<std::string> pieces = {};
};

std::optional<SimpleValue> read_value(const std::vector<std::string>& lines) {
  if (lines[0][0] == '"' || lines[0][0] == '\'')
    return std::nullopt;  // a key that may have a colon
  const std::string_view first = trim(std::string_view(lines[0]).substr(lines[0].find(':') + 1));
  SimpleValue value;
  if (first.starts_with('[') && first.ends_with(']') && lines.size() == 1) {
    value.is_list = true;
    for (const std::string& piece : split(first.substr(1, first.size() - 2), ',')) {
      if (!trim(piece).empty()) value.pieces.emplace_back(trim(piece));
    }
  } else if (!first.empty() && first[0] != '#') {
    if (lines.size() > 1) return std::nullopt;
    value.pieces.emplace_back(first);
  } else {
    value.is_list = true;
    std::set<size_t> indents;
    for (size_t i = 1; i < lines.size(); ++i) {
      const std::string_view line = trim(lines[i]);
      if (line.empty() || line[0] == '#') continue;
      if (!line.starts_with("- ") || line.find(": ") != std::string_view::npos) return std::nullopt;
      indents.insert(lines[i].find('-'));
      value.pieces.emplace_back(trim(line.substr(2)));
    }
    if (indents.size() > 1) return std::nullopt;  // a list in the list
  }
  for (const std::string& piece : value.pieces) {
    if (!read_scalar(piece)) return std::nullopt;
  }
  return value;
}

// As PyYAML spells it: a word in quotes that needs none loses them.
std::string respelled(const std::string& piece) {
  const std::string text = *read_scalar(piece);
  return piece[0] == '"' || piece[0] == '\'' ? yaml_text(text) : text;
}

bool is_null(std::string_view text) {
  return text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL";
}

}  // namespace

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t end = std::min(text.find_first_of("\r\n", begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + (text.compare(end, 2, "\r\n") == 0 ? 2 : 1);
  }
  return lines;
}

ModelCard::ModelCard(const std::string& content, const std::string& where) : where_(where) {
  if (content.find("\r\n") != std::string::npos) line_end_ = "\r\n";
  static const Regex kBlock(
      R"(\A(\s*---(?:\r\n|\r|\n))([\S\s]*?)((?:\r\n|\r|\n)---[ \t]*(\r\n|\n|\Z)))",
      Regex::Syntax::kPython, "model card");
  const auto block = is_valid_utf8(content) ? kBlock.search(content) : std::nullopt;
  if (!block) {
    text_ = content;
    return;
  }
  const Regex::Span metadata = *block->groups[2];
  read_metadata(lines_of(content.substr(metadata.begin, metadata.end - metadata.begin)));
  text_ = content.substr(block->end);
}

void ModelCard::read_metadata(const std::vector<std::string>& lines) {
  static const Regex kKey(R"(("[^"]+"|'[^']+'|[^\s#"'\[\]{}&*!|>%@`,-][^:#]*?)\s*:(\s.*|))",
                          Regex::Syntax::kPython, "model card");
  if (lines.size() == 1 && trim(lines[0]) == "{}") return;
  for (const std::string& line : lines) {
    const bool continues =
        line.empty() || line[0] == ' ' || line[0] == '#' || line[0] == '-' || line[0] == '\t';
    const auto match = continues ? std::nullopt : kKey.search(line);
    if (match && match->begin == 0 && match->end == line.size()) {
      const Regex::Span key = *match->groups[1];
      const auto name = read_scalar(line.substr(key.begin, key.end - key.begin));
      entries_.push_back({name.value_or(""), {line}});
    } else if (continues && (!entries_.empty() || trim(line).empty() || line[0] == '#')) {
      if (entries_.empty()) entries_.push_back({"", {}});
      entries_.back().lines.push_back(line);
    } else {
      throw FormatError(where_ + ": the metadata: expected a block of keys with values, got " +
                        quote(line) + ". Mend the part between the lines of dashes.");
    }
  }
}

const ModelCard::Entry* ModelCard::find(const std::string& key) const {
  const auto found = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const Entry& entry) { return entry.key == key; });
  return found == entries_.end() ? nullptr : &*found;
}

ModelCard::Entry& ModelCard::entry(const std::string& key) {
  if (const Entry* found = find(key)) return const_cast<Entry&>(*found);
  entries_.push_back({key, {}});
  return entries_.back();
}

bool ModelCard::has(const std::string& key) const {
  const Entry* found = find(key);
  if (found == nullptr) return false;
  const std::string& line = found->lines.front();
  return found->lines.size() > 1 || !is_null(trim(line.substr(line.find(':') + 1)));
}

std::vector<std::string> ModelCard::strings(const std::string& key) const {
  std::vector<std::string> values;
  if (!has(key)) return values;
  const auto value = read_value(find(key)->lines);
  if (!value) {
    throw FormatError(where_ + ": the metadata: " + key +
                      ": expected a list of short strings, got something else. Mend the part "
                      "between the lines of dashes.");
  }
  for (const std::string& piece : value->pieces) values.push_back(*read_scalar(piece));
  return values;
}

void ModelCard::set(const std::string& key, const std::string& value) {
  entry(key).lines = {key + ": " + yaml_text(value)};
}

void ModelCard::set(const std::string& key, const std::vector<std::string>& values) {
  Entry& place = entry(key);
  place.lines = {key + ":"};
  for (const std::string& value : values) place.lines.push_back("- " + yaml_text(value));
}

// Simple values in the one form that PyYAML has for them; what is nested keeps its lines.
std::vector<std::string> ModelCard::lines_of_entry(const Entry& entry) const {
  if (entry.key.empty() || !has(entry.key)) return {};
  const auto value = read_value(entry.lines);
  if (!value) return entry.lines;
  const std::string key = entry.lines[0].substr(0, entry.lines[0].find(':') + 1);
  if (!value->is_list) return {key + " " + respelled(value->pieces[0])};
  if (value->pieces.empty()) return {key + " []"};
  std::vector<std::string> lines{key};
  for (const std::string& piece : value->pieces) lines.push_back("- " + respelled(piece));
  return lines;
}

std::string ModelCard::content() const {
  std::string metadata;
  for (const Entry& entry : entries_) {
    for (const std::string& line : lines_of_entry(entry)) metadata += line + line_end_;
  }
  if (metadata.empty()) metadata = "{}" + line_end_;
  return "---" + line_end_ + metadata + "---" + line_end_ + text_;
}

}  // namespace peft
