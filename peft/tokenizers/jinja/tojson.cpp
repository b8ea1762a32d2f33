#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "peft/base/error.h"
#include "peft/base/json_text.h"
#include "peft/tokenizers/jinja/runtime.h"
#include "peft/tokenizers/jinja/value_text.h"

namespace peft::jinja {
namespace {

void append_escape(std::string& out, int32_t unit) { out += fmt::format("\\u{:04x}", unit); }

void append_string(std::string& out, std::string_view text, bool ensure_ascii) {
  out += '"';
  while (!text.empty()) {
    const int32_t point = first_point(text);
    const size_t bytes = point_bytes(text);
    switch (point) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      default:
        if (ensure_ascii && point >= 0x10000) {
          append_escape(out, 0xD800 + ((point - 0x10000) >> 10));
          append_escape(out, 0xDC00 + ((point - 0x10000) & 0x3FF));
        } else if (point >= 0 && (point < 0x20 || (ensure_ascii && point >= 0x7f))) {
          append_escape(out, point);
        } else {
          out += text.substr(0, bytes);
        }
    }
    text.remove_prefix(bytes);
  }
  out += '"';
}

class Writer {
 public:
  explicit Writer(const JsonLook& look) : look_(look) {}

  void write(const Value& value, int level) {
    if (value.is_string()) {
      append_string(out, value.text(), look_.ensure_ascii);
    } else if (value.is_none()) {
      out += "null";
    } else if (value.is_bool()) {
      out += value.integer() != 0 ? "true" : "false";
    } else if (value.is_integer()) {
      out += fmt::format("{}", value.integer());
    } else if (value.is_number()) {
      out += python_float(value.number());
    } else if (const Values* items = value.sequence()) {
      write_items(*items, level);
    } else if (const DictData* dict = value.dict()) {
      write_dict(*dict, level);
    } else {
      check_defined(value);
      throw ConfigError(fmt::format("chat template: tojson: a value of type '{}' has no JSON form.",
                                    value.type_name()));
    }
  }

  std::string out;

 private:
  void write_items(const Values& items, int level) {
    if (items.empty()) {
      out += "[]";
      return;
    }
    out += '[';
    for (size_t i = 0; i < items.size(); ++i) {
      separate(i, level + 1);
      write(items[i], level + 1);
    }
    close(']', level);
  }

  void write_dict(const DictData& dict, int level) {
    if (dict.entries().empty()) {
      out += "{}";
      return;
    }
    auto entries = dict.entries();
    if (look_.sort_keys) {
      std::stable_sort(entries.begin(), entries.end(),
                       [](const auto& a, const auto& b) { return less(a.first, b.first); });
    }
    out += '{';
    for (size_t i = 0; i < entries.size(); ++i) {
      separate(i, level + 1);
      write_key(entries[i].first);
      out += look_.key_separator;
      write(entries[i].second, level + 1);
    }
    close('}', level);
  }

  void write_key(const Value& key) {
    if (key.is_string()) return append_string(out, key.text(), look_.ensure_ascii);
    if (!key.is_number() && !key.is_none())
      throw ConfigError(
          fmt::format("chat template: tojson: a key has the wrong type: expected str, int, float, "
                      "bool or None, "
                      "got {}.",
                      key.type_name()));
    Writer inner(look_);
    inner.write(key, 0);
    out += '"' + inner.out + '"';
  }

  void separate(size_t index, int level) {
    if (index > 0) out += look_.item_separator;
    new_line(level);
  }

  void close(char bracket, int level) {
    new_line(level);
    out += bracket;
  }

  void new_line(int level) {
    if (!look_.indent) return;
    out += '\n';
    for (int i = 0; i < level; ++i) out += *look_.indent;
  }

  const JsonLook& look_;
};

}  // namespace

std::string to_json(const Value& value, const JsonLook& look) {
  Writer writer(look);
  writer.write(value, 0);
  return std::move(writer.out);
}

}  // namespace peft::jinja
