#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "peft/tokenizers/jinja/value.h"

namespace peft::jinja {

/// How much a template may do. Real templates need less than a hundredth of it.
struct Limits {
  int64_t steps = 50'000'000;             // expressions and statements carried out, items made
  size_t text_bytes = size_t{256} << 20;  // of all texts made on the way, in bytes
  size_t output_bytes = size_t{64} << 20;
  int depth = 400;  // expressions, macros and loops inside each other
};

/// What a running template has used up.  Throws: ConfigError where a limit is passed.
class Budget {
 public:
  explicit Budget(const Limits& limits) : limits_(limits) {}

  void spend_steps(int64_t steps = 1);
  /// The whole of a value is about to be looked at.
  void spend_on(const Value& value) { spend_steps(value.extent().weight); }
  /// A text of that size is about to be made.
  void spend_text(size_t bytes);
  /// size times count bytes are about to be made, without overflow.
  void spend_text(size_t bytes, size_t count);
  const Limits& limits() const { return limits_; }

  /// One level deeper while it lives.
  class Level {
   public:
    explicit Level(Budget& budget);
    ~Level() { --budget_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    Budget& budget_;
  };

 private:
  const Limits limits_;
  int64_t steps_ = 0;
  size_t text_ = 0;
  int depth_ = 0;
};

/// A namespace() object: the one thing that a template may change.
struct Namespace {
  std::map<std::string, Value> fields;
};

using Keywords = std::vector<std::pair<std::string, Value>>;

/// What filters, tests and methods may ask of the interpreter.
class Engine {
 public:
  virtual ~Engine() = default;
  virtual Budget& budget() = 0;
  virtual Value call(const Value& callee, Values args, Keywords keywords) = 0;
  virtual Value apply_filter(const std::string& name, Values args, Keywords keywords) = 0;
  virtual bool apply_test(const std::string& name, Values args, Keywords keywords) = 0;
  /// obj.name and obj[key] as the template language reads them; what is missing is undefined.
  virtual Value attribute(const Value& object, const std::string& name) = 0;
  virtual Value item(const Value& object, const Value& key) = 0;
  /// The items that a for loop would see.  Throws: ConfigError where there are none to see.
  virtual Values iterate(const Value& value) = 0;
  virtual Value make_namespace(std::map<std::string, Value> fields) = 0;
};

/// The arguments of one call of a function, filter, test or method named `name`.
struct Call {
  Engine& engine;
  std::string name;
  Values args = {};
  Keywords keywords = {};
};

using Function = Value (*)(Call&);

/// A function that the environment offers.
struct Native {
  std::string name;
  Function function;
};

/// Arguments bound to parameter names, as Python binds them.
/// Throws: ConfigError for too many, doubled or unknown ones.
class Bound {
 public:
  Bound(const Call& call, std::initializer_list<const char*> names);

  bool has(size_t index) const { return values_[index].has_value(); }
  /// Throws: ConfigError where a required argument is absent.
  const Value& required(size_t index) const;
  Value get(size_t index, Value fallback) const;
  std::string text(size_t index, std::string fallback) const;
  int64_t integer(size_t index, int64_t fallback) const;
  bool flag(size_t index, bool fallback) const;

 private:
  const std::string name_;
  std::vector<const char*> names_;
  std::vector<std::optional<Value>> values_;
};

/// Throws: ConfigError where the value is undefined, saying what is missing.
void check_defined(const Value& value);

/// Throws a ConfigError "chat template: <where>: expected <expected>, got <type of value>".
[[noreturn]] void wrong_type(std::string_view where, std::string_view expected, const Value& value);

/// Python's str(), paid for.
std::string text_of(Engine& engine, const Value& value);

/// Filters, tests and functions of the environment by name; nullptr where there is none.
Function find_filter(std::string_view name);
Function find_test(std::string_view name);
const std::vector<Native>& global_functions();

/// A method of a str, list, tuple or dict; nullptr where the type has none of that name.
Function find_method(const Value& self, std::string_view name);

}  // namespace peft::jinja
