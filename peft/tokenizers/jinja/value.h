#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "peft/base/json.h"

namespace peft::jinja {

class Value;
struct Native;
struct Macro;
struct Namespace;
struct Loop;
using Values = std::vector<Value>;

/// A name that has no value. It prints as nothing, but may not be looked into; `why` says what is
/// missing, for the error message.
struct Undefined {
  std::shared_ptr<const std::string> why;
};
struct None {};

/// How large a value is, containers counted as often as they are reached. Both numbers are bounded:
/// printing, comparing and destroying a value can neither exhaust the stack nor go on for ever.
struct Extent {
  int depth = 0;       // containers inside each other
  int64_t weight = 1;  // values and stretches of text
};

/// The items of a list or tuple, which never change once made.
struct Sequence {
  Values items;
  Extent extent;
};
struct List {
  std::shared_ptr<const Sequence> data;
};
struct Tuple {
  std::shared_ptr<const Sequence> data;
};

/// What Python's lazy filters (map, select, ...) give: it can be read once, from front to back.
struct Generator {
  struct State {
    Values items;
    size_t next = 0;
    Extent extent = {};
  };
  std::shared_ptr<State> state;
};

/// A dict in the order of insertion.
class DictData {
 public:
  /// Sets or replaces; a replaced key keeps its place, as in Python.
  void set(const Value& key, Value value);
  const Value* find(const Value& key) const;
  const std::vector<std::pair<Value, Value>>& entries() const { return entries_; }
  const Extent& extent() const { return extent_; }

 private:
  std::vector<std::pair<Value, Value>> entries_;
  std::unordered_map<std::string, size_t> index_;
  Extent extent_ = {.depth = 1};
};
struct Dict {
  std::shared_ptr<const DictData> data;
};

/// A method of a value, as `text.strip` is before it is called.
struct BoundMethod {
  std::shared_ptr<const Value> self;
  std::string name;
};

/// A value of the template language, with Python's behaviour. Copying is cheap. Macros, namespaces
/// and loops belong to the running interpreter; values do not outlive it.
class Value {
 public:
  using Storage = std::variant<Undefined, None, bool, int64_t, double,
                               std::shared_ptr<const std::string>, List, Tuple, Dict, Generator,
                               BoundMethod, const Native*, const Macro*, Namespace*, Loop*>;

  Value() : data_(Undefined{}) {}
  Value(bool value) : data_(value) {}
  Value(int64_t value) : data_(value) {}
  Value(double value) : data_(value) {}
  Value(std::string text) : data_(std::make_shared<const std::string>(std::move(text))) {}
  Value(std::string_view text) : Value(std::string(text)) {}
  Value(const char* text) : Value(std::string(text)) {}
  explicit Value(Storage data) : data_(std::move(data)) {}
  template <class T>
  Value(T*) = delete;  // would become a bool

  static Value none() { return Value(Storage(None{})); }
  static Value undefined(std::string why);
  /// Throws: ConfigError where the value becomes too deep or too large (also dict).
  static Value list(Values items);
  static Value tuple(Values items);
  static Value dict(DictData data);
  static Value generator(Values items);
  /// Throws: ConfigError where the JSON is nested too deeply or an integer needs more than 63 bits.
  static Value from_json(const Json& json);

  template <class T>
  const T* as() const {
    return std::get_if<T>(&data_);
  }
  const Storage& storage() const { return data_; }

  bool is_undefined() const { return as<Undefined>() != nullptr; }
  bool is_none() const { return as<None>() != nullptr; }
  bool is_string() const { return text_or_null() != nullptr; }
  bool is_bool() const { return as<bool>() != nullptr; }
  /// int, float or bool, which Python counts as a number.
  bool is_number() const;
  bool is_integer() const { return is_bool() || as<int64_t>() != nullptr; }
  bool is_callable() const;

  /// The text of a string; only where is_string().
  const std::string& text() const { return *text_or_null(); }
  /// The items of a list or tuple, otherwise nullptr.
  const Values* sequence() const;
  const DictData* dict() const;
  int64_t integer() const;  // only where is_integer()
  double number() const;    // only where is_number()
  Extent extent() const;

  /// Python's bool().
  bool truthy() const;
  /// Python's name of the type: "str", "int", "NoneType".
  std::string type_name() const;

 private:
  const std::string* text_or_null() const {
    const auto* text = as<std::shared_ptr<const std::string>>();
    return text == nullptr ? nullptr : text->get();
  }

  Storage data_;
};

/// Python's ==.
bool equal(const Value& a, const Value& b);

/// Python's <.  Throws: ConfigError where the types have no order.
bool less(const Value& a, const Value& b);

/// The text that stands for a key in DictData's index: equal keys have equal texts.
/// Throws: ConfigError where Python could not hash it.
std::string key_text(const Value& key);

}  // namespace peft::jinja
