#include <fmt/format.h>

#include <algorithm>

#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/tokenizers/jinja/interpreter.h"
#include "peft/tokenizers/jinja/value_text.h"

namespace peft::jinja {
namespace {

/// Methods that change a list or dict: the sandbox of Hugging Face forbids them.
bool is_forbidden(const Value& object, std::string_view name) {
  static constexpr std::string_view kOfList[] = {"append", "clear", "pop",    "reverse",
                                                 "insert", "sort",  "extend", "remove"};
  static constexpr std::string_view kOfDict[] = {"clear", "pop", "popitem", "setdefault", "update"};
  const auto in = [&](const auto& names) {
    return std::find(std::begin(names), std::end(names), name) != std::end(names);
  };
  if (object.as<List>() != nullptr) return in(kOfList);
  return object.dict() != nullptr && in(kOfDict);
}

Value missing(const Value& object, const std::string& name) {
  return Value::undefined(
      fmt::format("'{} object' has no attribute {}", object.type_name(), quote(name)));
}

/// The method `name` of a str, list, tuple or dict; undefined where it has none.
std::optional<Value> method_of(const Value& object, const std::string& name) {
  if (is_forbidden(object, name))
    return Value::undefined(
        fmt::format("access to attribute '{}' of '{}' object is unsafe", name, object.type_name()));
  if (find_method(object, name) == nullptr) return {};
  return Value(Value::Storage(BoundMethod{std::make_shared<const Value>(object), name}));
}

struct SliceRange {
  int64_t first, last, step;  // first and last as Python's slice.indices gives them
};

SliceRange clipped(std::optional<int64_t> first, std::optional<int64_t> last, int64_t step,
                   int64_t size) {
  const int64_t low = step < 0 ? -1 : 0, high = step < 0 ? size - 1 : size;
  const auto clip = [&](std::optional<int64_t> index, int64_t fallback) {
    if (!index) return fallback;
    // No sum here can overflow: a negative index is moved up, all others are cut first.
    const int64_t moved = *index < 0 ? *index + size : std::min(*index, size);
    return std::clamp(moved, low, high);
  };
  return {clip(first, step < 0 ? high : low), clip(last, step < 0 ? low : high), step};
}

}  // namespace

Value Interpreter::attribute(const Value& object, const std::string& name) {
  check_defined(object);
  if (const auto* space = object.as<Namespace*>()) {
    const auto place = (*space)->fields.find(name);
    return place == (*space)->fields.end() ? missing(object, name) : place->second;
  }
  if (const auto* loop = object.as<Loop*>()) return loop_attribute(**loop, name);
  if (const auto* macro = object.as<const Macro*>(); macro != nullptr && name == "name")
    return (*macro)->node->name;
  if (auto method = method_of(object, name)) return std::move(*method);
  if (const DictData* dict = object.dict()) {
    if (const Value* value = dict->find(name)) return *value;
  }
  return missing(object, name);
}

Value Interpreter::item(const Value& object, const Value& key) {
  check_defined(object);
  if (const DictData* dict = object.dict()) {
    const bool hashable = key.dict() == nullptr && key.as<List>() == nullptr;
    if (const Value* value = hashable ? dict->find(key) : nullptr) return *value;
  } else if (key.is_integer() && (object.sequence() != nullptr || object.is_string())) {
    const Values* items = object.sequence();
    budget_.spend_on(object.is_string() ? object : Value());
    const auto size =
        static_cast<int64_t>(items != nullptr ? items->size() : count_points(object.text()));
    const int64_t index = key.integer() < 0 ? key.integer() + size : key.integer();
    if (index >= 0 && index < size) {
      if (items != nullptr) return (*items)[static_cast<size_t>(index)];
      const std::string_view rest =
          std::string_view(object.text())
              .substr(byte_of_point(object.text(), static_cast<size_t>(index)));
      return rest.substr(0, point_bytes(rest));
    }
  }
  if (key.is_string()) {
    if (object.as<Namespace*>() != nullptr || object.as<Loop*>() != nullptr)
      return attribute(object, key.text());
    if (auto method = method_of(object, key.text())) return std::move(*method);
    return missing(object, key.text());
  }
  return Value::undefined(fmt::format("'{} object' has no element {}", object.type_name(),
                                      key.extent().weight > 100 ? key.type_name() : to_repr(key)));
}

Value Interpreter::sliced(const Value& object, const Expr& slice) {
  std::optional<int64_t> bounds[3];
  for (size_t i = 0; i < 3; ++i) {
    if (!slice.args[i]) continue;
    const Value value = evaluate(*slice.args[i]);
    if (value.is_none()) continue;
    if (!value.is_integer()) wrong_type("a slice's bound", "int", value);
    bounds[i] = value.integer();
  }
  check_defined(object);
  const Values* items = object.sequence();
  if (items == nullptr && !object.is_string())
    return Value::undefined(fmt::format("'{} object' has no slices", object.type_name()));
  if (bounds[2] == 0) throw ConfigError("chat template: a slice's step is zero.");
  budget_.spend_on(object);
  Values points;
  if (items == nullptr) {
    points = iterate(object);
    items = &points;
  }
  const SliceRange range =
      clipped(bounds[0], bounds[1], bounds[2].value_or(1), static_cast<int64_t>(items->size()));
  Values picked;
  for (int64_t i = range.first; range.step > 0 ? i < range.last : i > range.last;) {
    picked.push_back((*items)[static_cast<size_t>(i)]);
    if (__builtin_add_overflow(i, range.step, &i)) break;
  }
  if (object.as<List>() != nullptr) return Value::list(std::move(picked));
  if (object.as<Tuple>() != nullptr) return Value::tuple(std::move(picked));
  std::string text;
  for (const Value& point : picked) text += point.text();
  budget_.spend_text(text.size());
  return text;
}

Values Interpreter::iterate(const Value& value) {
  if (value.is_undefined()) return {};
  if (const Values* items = value.sequence()) {
    budget_.spend_steps(static_cast<int64_t>(items->size()));
    return *items;
  }
  if (const auto* generator = value.as<Generator>()) {
    const size_t first = std::exchange(generator->state->next, generator->state->items.size());
    const Values& items = generator->state->items;
    return Values(items.begin() + static_cast<std::ptrdiff_t>(first), items.end());
  }
  Values result;
  if (const DictData* dict = value.dict()) {
    budget_.spend_steps(static_cast<int64_t>(dict->entries().size()));
    for (const auto& [key, item] : dict->entries()) result.push_back(key);
    return result;
  }
  if (!value.is_string()) wrong_type("iteration", "something with items", value);
  budget_.spend_steps(static_cast<int64_t>(value.text().size()));
  for (std::string_view rest = value.text(); !rest.empty();) {
    result.emplace_back(rest.substr(0, point_bytes(rest)));
    rest.remove_prefix(point_bytes(rest));
  }
  return result;
}

Value Interpreter::loop_attribute(Loop& loop, const std::string& name) {
  const auto index = static_cast<int64_t>(loop.index),
             size = static_cast<int64_t>(loop.items.size());
  if (name == "index") return index + 1;
  if (name == "index0") return index;
  if (name == "first") return index == 0;
  if (name == "last") return index + 1 == size;
  if (name == "length") return size;
  if (name == "revindex") return size - index;
  if (name == "revindex0") return size - index - 1;
  if (name == "depth") return int64_t{loop.depth};
  if (name == "depth0") return int64_t{loop.depth - 1};
  if (name == "previtem")
    return index > 0 ? loop.items[loop.index - 1] : Value::undefined("there is no previous item");
  if (name == "nextitem")
    return index + 1 < size ? loop.items[loop.index + 1]
                            : Value::undefined("there is no next item");
  if (name == "cycle" || name == "changed")
    return Value(
        Value::Storage(BoundMethod{std::make_shared<const Value>(Value::Storage(&loop)), name}));
  return Value::undefined(fmt::format("'loop' has no attribute {}", quote(name)));
}

Value Interpreter::call_loop_method(Loop& loop, const std::string& name, const Values& args) {
  if (name == "cycle") {
    if (args.empty()) throw ConfigError("chat template: loop.cycle has no items.");
    return args[loop.index % args.size()];
  }
  const bool same = loop.changed.size() == args.size() + 1 &&
                    std::equal(args.begin(), args.end(), loop.changed.begin() + 1, equal);
  loop.changed = args;
  loop.changed.insert(loop.changed.begin(),
                      Value(true));  // tells "never called" from "called with nothing"
  return !same;
}

Value Interpreter::call(const Value& callee, Values args, Keywords keywords) {
  budget_.spend_steps();
  const Budget::Level level(budget_);
  if (const auto* native = callee.as<const Native*>()) {
    Call call{*this, (*native)->name, std::move(args), std::move(keywords)};
    return (*native)->function(call);
  }
  if (const auto* macro = callee.as<const Macro*>())
    return call_macro(**macro, std::move(args), std::move(keywords));
  if (const auto* method = callee.as<BoundMethod>()) {
    if (const auto* loop = method->self->as<Loop*>())
      return call_loop_method(**loop, method->name, args);
    args.insert(args.begin(), *method->self);
    Call call{*this, method->name, std::move(args), std::move(keywords)};
    return find_method(*method->self, method->name)(call);
  }
  if (const auto* loop = callee.as<Loop*>()) {
    if (!(*loop)->statement->recursive)
      throw ConfigError("chat template: the loop is not recursive: it must be marked 'recursive'.");
    if (args.size() != 1) throw ConfigError("chat template: loop() takes one argument.");
    const ScopePtr outer = std::exchange(scope_, (*loop)->scope);
    std::string text = run_loop(*(*loop)->statement, args[0], (*loop)->depth + 1);
    scope_ = outer;
    return text;
  }
  check_defined(callee);
  throw ConfigError(
      fmt::format("chat template: a value of type '{}' cannot be called.", callee.type_name()));
}

void Interpreter::bind_parameters(const Macro& macro, Values& args, Keywords& keywords) {
  const MacroNode& node = *macro.node;
  const size_t required = node.parameters.size() - node.defaults.size();
  for (size_t i = 0; i < node.parameters.size(); ++i) {
    const std::string& name = node.parameters[i];
    const auto keyword = std::find_if(keywords.begin(), keywords.end(),
                                      [&](const auto& entry) { return entry.first == name; });
    Value value = Value::undefined(fmt::format("parameter '{}' was not provided", name));
    if (i < args.size()) {
      value = args[i];
    } else if (keyword != keywords.end()) {
      value = keyword->second;
      keywords.erase(keyword);
    } else if (i >= required) {
      value = evaluate(*node.defaults[i - required]);
    }
    scope_->names.insert_or_assign(name, std::move(value));
  }
  args.erase(args.begin(), args.begin() + static_cast<std::ptrdiff_t>(
                                              std::min(args.size(), node.parameters.size())));
}

Value Interpreter::call_macro(const Macro& macro, Values args, Keywords keywords) {
  const MacroNode& node = *macro.node;
  const ScopePtr outer = std::exchange(scope_, inner_scope(macro.scope));
  bind_parameters(macro, args, keywords);
  if (node.uses_caller) {
    Value caller = Value::undefined("no caller defined");
    std::erase_if(keywords, [&](auto& entry) {
      if (entry.first != "caller") return false;
      caller = entry.second;
      return true;
    });
    scope_->names.insert_or_assign("caller", caller);
  }
  if (node.uses_kwargs) {
    DictData dict;
    for (const auto& [name, value] : keywords) dict.set(name, value);
    scope_->names.insert_or_assign("kwargs", Value::dict(std::move(dict)));
  } else if (!keywords.empty()) {
    throw ConfigError(fmt::format("chat template: macro '{}' takes no argument '{}'.", node.name,
                                  keywords[0].first));
  }
  if (node.uses_varargs) {
    scope_->names.insert_or_assign("varargs", Value::tuple(std::move(args)));
  } else if (!args.empty()) {
    throw ConfigError(fmt::format("chat template: macro '{}' takes not more than {} argument(s).",
                                  node.name, node.parameters.size()));
  }
  std::string text = captured(node.body, scope_);
  scope_ = outer;
  return text;
}

}  // namespace peft::jinja
