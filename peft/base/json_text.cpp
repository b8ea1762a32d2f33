#include "peft/base/json_text.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "peft/base/error.h"
#include "peft/base/file.h"
#include "peft/base/text.h"

namespace peft {
namespace {

std::string position_text(std::string_view text, size_t position) {
  const std::string_view before = text.substr(0, std::min(position, text.size()));
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t line_begin = before.rfind('\n') + 1;  // npos + 1 is 0
  return fmt::format("line {}, column {}", line, before.size() - line_begin + 1);
}

/// Without the library's own "[json.exception...] parse error at line ..., column ...: ".
std::string plain_reason(std::string_view what) {
  const size_t column = what.find("column ");
  const size_t colon = what.find(": ", column == std::string_view::npos ? 0 : column);
  return std::string(colon == std::string_view::npos ? what : what.substr(colon + 2));
}

/// Builds the value from the parser's events. nlohmann's own builder looks every key up in the list
/// of those before it, which takes minutes for a vocabulary of 150,000 entries.
class Builder : public nlohmann::json_sax<Json> {
 public:
  Builder(std::string_view text, std::string_view where, const JsonLimits& limits)
      : text_(text), where_(where), limits_(limits) {}

  Json take() { return std::move(root_); }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return false; }
  bool start_object(size_t) override { return open(Json::object()); }
  bool start_array(size_t) override { return open(Json::array()); }

  bool key(string_t& name) override {
    object().emplace_back(std::move(name), nullptr);
    return true;
  }

  bool end_object() override {
    settle_duplicates(object());
    open_.pop_back();
    return true;
  }

  bool end_array() override {
    open_.pop_back();
    return true;
  }

  bool parse_error(size_t position, const std::string&, const Json::exception& error) override {
    throw FormatError(fmt::format("{}: {}: not valid JSON: {}.", where_,
                                  position_text(text_, position == 0 ? 0 : position - 1),
                                  plain_reason(error.what())));
  }

 private:
  // ordered_map is a vector of pairs; its own emplace() searches, the vector's emplace_back() does
  // not.
  using Entries = Json::object_t::Container;
  Entries& object() { return *open_.back()->get_ptr<Json::object_t*>(); }

  template <typename Value>
  Json* place(Value&& value) {
    if (open_.empty()) {
      root_ = Json(std::forward<Value>(value));
      return &root_;
    }
    Json& parent = *open_.back();
    if (parent.is_array()) {
      auto& items = *parent.get_ptr<Json::array_t*>();
      return &items.emplace_back(std::forward<Value>(value));
    }
    Json& slot = object().back().second;
    slot = Json(std::forward<Value>(value));
    return &slot;
  }

  template <typename Value>
  bool add(Value&& value) {
    place(std::forward<Value>(value));
    return true;
  }

  bool open(Json value) {
    if (open_.size() >= limits_.max_depth) {
      throw FormatError(
          fmt::format("{}: the JSON is nested too deeply: expected at most {} levels, got more.",
                      where_, limits_.max_depth));
    }
    // Pointers stay good: a container only grows while none of its children is open.
    open_.push_back(place(std::move(value)));
    return true;
  }

  void settle_duplicates(Entries& entries) {
    std::vector<size_t> order(entries.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return entries[a].first < entries[b].first; });
    std::vector<bool> drop(entries.size(), false);
    bool any = false;
    for (size_t i = 1; i < order.size(); ++i) {
      const size_t first = order[i - 1], second = order[i];
      if (entries[first].first != entries[second].first) continue;
      if (limits_.reject_duplicate_keys) {
        throw FormatError(fmt::format("{}: the key {} is there twice: expected each name once.",
                                      where_, quote(entries[first].first)));
      }
      // Python keeps the place of the first and the value of the last.
      std::swap(entries[first].second, entries[second].second);
      drop[second] = any = true;
      order[i] = first;
    }
    if (!any) return;
    Entries kept;
    kept.reserve(entries.size());
    for (size_t i = 0; i < entries.size(); ++i) {
      if (!drop[i]) kept.emplace_back(entries[i].first, std::move(entries[i].second));
    }
    entries.swap(kept);
  }

  std::string_view text_, where_;
  const JsonLimits& limits_;
  Json root_;
  std::vector<Json*> open_;
};

class Writer {
 public:
  explicit Writer(const JsonStyle& style) : style_(style) {}

  std::string take() { return std::move(out_); }

  void value(const Json& json, int level) {
    switch (json.type()) {
      case Json::value_t::null:
        out_ += "null";
        break;
      case Json::value_t::boolean:
        out_ += json.get<bool>() ? "true" : "false";
        break;
      case Json::value_t::number_integer:
        out_ += std::to_string(json.get<int64_t>());
        break;
      case Json::value_t::number_unsigned:
        out_ += std::to_string(json.get<uint64_t>());
        break;
      case Json::value_t::number_float:
        out_ += python_float(json.get<double>());
        break;
      case Json::value_t::string:
        text(json.get_ref<const std::string&>());
        break;
      case Json::value_t::array:
        array(json, level);
        break;
      case Json::value_t::object:
        object(json, level);
        break;
      case Json::value_t::binary:
      case Json::value_t::discarded:
        throw FormatError("JSON: binary values cannot be written as text.");
    }
  }

 private:
  void array(const Json& json, int level) {
    if (json.empty()) {
      out_ += "[]";
      return;
    }
    out_ += '[';
    bool first = true;
    for (const Json& item : json) {
      separate(first, level + 1);
      value(item, level + 1);
    }
    close(']', level);
  }

  void object(const Json& json, int level) {
    if (json.empty()) {
      out_ += "{}";
      return;
    }
    const auto& entries = json.get_ref<const Json::object_t&>();
    std::vector<const Json::object_t::value_type*> order;
    for (const auto& entry : entries) order.push_back(&entry);
    if (style_.sort_keys) {
      // Python compares code points; for UTF-8 the order of the bytes is the same.
      std::stable_sort(order.begin(), order.end(),
                       [](const auto* a, const auto* b) { return a->first < b->first; });
    }
    out_ += '{';
    bool first = true;
    for (const auto* entry : order) {
      separate(first, level + 1);
      text(entry->first);
      out_ += ": ";
      value(entry->second, level + 1);
    }
    close('}', level);
  }

  void separate(bool& first, int level) {
    if (!first) out_ += style_.indent ? "," : ", ";
    first = false;
    new_line(level);
  }

  void close(char bracket, int level) {
    new_line(level);
    out_ += bracket;
  }

  void new_line(int level) {
    if (!style_.indent) return;
    out_ += '\n';
    out_.append(static_cast<size_t>(*style_.indent * level), ' ');
  }

  void text(std::string_view string) {
    if (!is_valid_utf8(string)) {
      throw FormatError(fmt::format("JSON: the string {} is not valid UTF-8.", quote(string)));
    }
    out_ += '"';
    for (size_t i = 0; i < string.size();) i += character(string.substr(i));
    out_ += '"';
  }

  /// Writes the character at the start of `rest` (valid UTF-8) and returns its bytes.
  size_t character(std::string_view rest) {
    const auto byte = static_cast<unsigned char>(rest.front());
    constexpr std::string_view kEscaped = "\"\\\n\r\t\b\f", kLetters = "\"\\nrtbf";
    if (const size_t at = kEscaped.find(rest.front()); at != std::string_view::npos) {
      out_ += {'\\', kLetters[at]};
      return 1;
    }
    if (byte < 0x80) {
      if (byte < 0x20 || (byte == 0x7F && style_.ensure_ascii)) {
        unit(byte);
      } else {
        out_ += rest.front();
      }
      return 1;
    }
    const size_t length = byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
    if (!style_.ensure_ascii) {
      out_ += rest.substr(0, length);
      return length;
    }
    unsigned point = byte & (0xFFU >> (length + 1));
    for (size_t i = 1; i < length; ++i) {
      point = point << 6 | (static_cast<unsigned char>(rest[i]) & 0x3FU);
    }
    if (point < 0x10000) {
      unit(point);
    } else {
      unit(0xD800 + ((point - 0x10000) >> 10));
      unit(0xDC00 + ((point - 0x10000) & 0x3FF));
    }
    return length;
  }

  void unit(unsigned code) { out_ += fmt::format("\\u{:04x}", code); }

  const JsonStyle& style_;
  std::string out_;
};

}  // namespace

Json parse_json(std::string_view text, std::string_view where, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes) {
    throw FormatError(fmt::format("{}: the JSON text is too long: expected at most {}, got {}.",
                                  where, human_bytes(limits.max_bytes), human_bytes(text.size())));
  }
  Builder builder(text, where, limits);
  Json::sax_parse(text.begin(), text.end(), &builder);
  return builder.take();
}

Json read_json_file(const std::filesystem::path& path, const JsonLimits& limits) {
  return parse_json(read_text_file(path, limits.max_bytes), path.string(), limits);
}

std::string dump_json(const Json& value, const JsonStyle& style) {
  Writer writer(style);
  writer.value(value, 0);
  std::string text = writer.take();
  if (style.final_newline) text += '\n';
  return text;
}

}  // namespace peft
