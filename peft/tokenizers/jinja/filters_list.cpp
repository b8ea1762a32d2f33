#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/tokenizers/jinja/filters.h"
#include "peft/tokenizers/jinja/text_case.h"
#include "peft/tokenizers/jinja/value_text.h"

namespace peft::jinja {
namespace {

Value folded(const Value& value, bool case_sensitive) {
  return value.is_string() && !case_sensitive ? Value(lower(value.text())) : value;
}

void charge_sorting(Call& call, const Values& items) {
  int64_t weight = 0;
  for (const Value& item : items) weight += item.extent().weight;
  call.engine.budget().spend_steps(weight *
                                   (1 + static_cast<int64_t>(std::log2(items.size() + 1))));
}

Value length(Call& call) {
  const Bound bound(call, {"obj"});
  const Value& value = bound.required(0);
  if (value.is_undefined()) return int64_t{0};
  if (const Values* items = value.sequence()) return static_cast<int64_t>(items->size());
  if (const DictData* dict = value.dict()) return static_cast<int64_t>(dict->entries().size());
  if (const auto* space = value.as<Namespace*>(); space == nullptr && !value.is_string())
    wrong_type("length", "str, list or dict", value);
  if (!value.is_string()) wrong_type("length", "str, list or dict", value);
  call.engine.budget().spend_on(value);
  return static_cast<int64_t>(count_points(value.text()));
}

Value default_filter(Call& call) {
  const Bound bound(call, {"value", "default_value", "boolean"});
  const Value& value = bound.required(0);
  const bool absent = value.is_undefined() || (bound.flag(2, false) && !value.truthy());
  return absent ? bound.get(1, "") : value;
}

Value first(Call& call) {
  const Values items = call.engine.iterate(call.args.at(0));
  return items.empty() ? Value::undefined("there is no first item, the sequence is empty")
                       : items.front();
}

Value last(Call& call) {
  if (call.args.at(0).as<Generator>() != nullptr) wrong_type("last", "a sequence", call.args[0]);
  const Values items = call.engine.iterate(call.args[0]);
  return items.empty() ? Value::undefined("there is no last item, the sequence is empty")
                       : items.back();
}

Value join(Call& call) {
  const Bound bound(call, {"value", "d", "attribute"});
  const std::string separator = bound.has(1) ? text_of(call.engine, bound.required(1)) : "";
  std::string text;
  bool is_first = true;
  for (const Value& item : call.engine.iterate(bound.required(0))) {
    const Value part = bound.has(2) ? follow(call.engine, item, bound.required(2)) : item;
    call.engine.budget().spend_text(separator.size());
    if (!is_first) text += separator;
    is_first = false;
    text += text_of(call.engine, part);
  }
  return text;
}

Value list_filter(Call& call) { return Value::list(call.engine.iterate(call.args.at(0))); }

Value items_filter(Call& call) {
  const Value& value = call.args.at(0);
  if (value.is_undefined()) return Value::generator({});
  if (value.dict() == nullptr) wrong_type("items", "dict", value);
  Values items;
  for (const auto& [key, item] : value.dict()->entries())
    items.push_back(Value::tuple({key, item}));
  call.engine.budget().spend_steps(static_cast<int64_t>(items.size()));
  return Value::generator(std::move(items));
}

Value dictsort(Call& call) {
  const Bound bound(call, {"value", "case_sensitive", "by", "reverse"});
  const std::string by = bound.text(2, "key");
  if (by != "key" && by != "value")
    throw ConfigError("chat template: dictsort: by: expected 'key' or 'value', got " + quote(by) +
                      ".");
  const DictData* dict = bound.required(0).dict();
  if (dict == nullptr) wrong_type("dictsort", "dict", bound.required(0));
  Values items;
  for (const auto& [key, item] : dict->entries()) items.push_back(Value::tuple({key, item}));
  charge_sorting(call, items);
  const bool sensitive = bound.flag(1, false), reverse = bound.flag(3, false);
  const size_t part = by == "key" ? 0 : 1;
  std::stable_sort(items.begin(), items.end(), [&](const Value& a, const Value& b) {
    const Value x = folded((*a.sequence())[part], sensitive),
                y = folded((*b.sequence())[part], sensitive);
    return reverse ? less(y, x) : less(x, y);
  });
  return Value::list(std::move(items));
}

struct Keyed {
  Values keys;
  Value item;
};

bool keys_less(const Values& a, const Values& b) {
  for (size_t i = 0; i < a.size(); ++i) {
    if (!equal(a[i], b[i])) return less(a[i], b[i]);
  }
  return false;
}

Value sort(Call& call) {
  const Bound bound(call, {"value", "reverse", "case_sensitive", "attribute"});
  const bool reverse = bound.flag(1, false), sensitive = bound.flag(2, false);
  std::vector<Keyed> keyed;
  const Value attribute = bound.get(3, Value::none());
  Values paths = {attribute};
  if (attribute.is_string()) {
    paths.clear();
    for (const std::string& path : split(attribute.text(), ',')) paths.emplace_back(path);
  }
  const Values items = call.engine.iterate(bound.required(0));
  charge_sorting(call, items);
  for (const Value& item : items) {
    Keyed& entry = keyed.emplace_back();
    for (const Value& path : paths)
      entry.keys.push_back(folded(follow(call.engine, item, path), sensitive));
    entry.item = item;
  }
  std::stable_sort(keyed.begin(), keyed.end(), [&](const Keyed& a, const Keyed& b) {
    return reverse ? keys_less(b.keys, a.keys) : keys_less(a.keys, b.keys);
  });
  Values sorted;
  for (Keyed& entry : keyed) sorted.push_back(std::move(entry.item));
  return Value::list(std::move(sorted));
}

Value groupby(Call& call) {
  const Bound bound(call, {"value", "attribute", "default", "case_sensitive"});
  const bool sensitive = bound.flag(3, false);
  std::vector<Keyed> keyed;
  const Values items = call.engine.iterate(bound.required(0));
  charge_sorting(call, items);
  for (const Value& item : items) {
    Value key = follow(call.engine, item, bound.required(1));
    if (key.is_undefined() && bound.has(2)) key = bound.required(2);
    keyed.push_back({{folded(key, sensitive), key}, item});
  }
  std::stable_sort(keyed.begin(), keyed.end(),
                   [](const Keyed& a, const Keyed& b) { return less(a.keys[0], b.keys[0]); });
  Values groups;
  for (size_t begin = 0, end = 0; begin < keyed.size(); begin = end) {
    Values members;
    for (end = begin; end < keyed.size() && equal(keyed[end].keys[0], keyed[begin].keys[0]); ++end)
      members.push_back(keyed[end].item);
    groups.push_back(Value::tuple({keyed[begin].keys[1], Value::list(std::move(members))}));
  }
  return Value::list(std::move(groups));
}

Value unique(Call& call) {
  const Bound bound(call, {"value", "case_sensitive", "attribute"});
  Values kept;
  DictData seen;
  for (const Value& item : call.engine.iterate(bound.required(0))) {
    const Value key =
        folded(follow(call.engine, item, bound.get(2, Value::none())), bound.flag(1, false));
    if (seen.find(key) != nullptr) continue;
    seen.set(key, true);
    kept.push_back(item);
  }
  return Value::generator(std::move(kept));
}

template <bool kLargest>
Value extreme(Call& call) {
  const Bound bound(call, {"value", "case_sensitive", "attribute"});
  const Values items = call.engine.iterate(bound.required(0));
  if (items.empty()) return Value::undefined("there is no item, the sequence is empty");
  const Value path = bound.get(2, Value::none());
  size_t best = 0;
  Value best_key;
  for (size_t i = 0; i < items.size(); ++i) {
    const Value key = folded(follow(call.engine, items[i], path), bound.flag(1, false));
    call.engine.budget().spend_on(key);
    if (i > 0 && !(kLargest ? less(best_key, key) : less(key, best_key))) continue;
    best = i;
    best_key = key;
  }
  return items[best];
}

Value reverse(Call& call) {
  const Value& value = call.args.at(0);
  Values items = call.engine.iterate(value);
  std::reverse(items.begin(), items.end());
  if (!value.is_string()) return Value::generator(std::move(items));
  std::string text;
  for (const Value& item : items) text += item.text();
  call.engine.budget().spend_text(text.size());
  return text;
}

Value batch(Call& call) {
  const Bound bound(call, {"value", "linecount", "fill_with"});
  bound.required(1);
  const int64_t size = bound.integer(1, 1);
  Values rows, row;
  for (const Value& item : call.engine.iterate(bound.required(0))) {
    if (static_cast<int64_t>(row.size()) == size)
      rows.push_back(Value::list(std::exchange(row, {})));
    row.push_back(item);
  }
  if (!row.empty()) {
    const Value fill = bound.get(2, Value::none());
    const int64_t room =
        fill.is_none() ? 0 : std::max<int64_t>(size - static_cast<int64_t>(row.size()), 0);
    call.engine.budget().spend_steps(room);
    row.insert(row.end(), static_cast<size_t>(room), fill);
    rows.push_back(Value::list(std::move(row)));
  }
  return Value::generator(std::move(rows));
}

Value slice(Call& call) {
  const Bound bound(call, {"value", "slices", "fill_with"});
  bound.required(1);
  const int64_t slices = bound.integer(1, 1);
  const Values items = call.engine.iterate(bound.required(0));
  if (slices <= 0) throw ConfigError("chat template: slice: expected at least one slice.");
  call.engine.budget().spend_steps(slices);
  const auto size = static_cast<int64_t>(items.size());
  Values rows;
  for (int64_t i = 0, begin = 0; i < slices; ++i) {
    const int64_t end = begin + size / slices + (i < size % slices ? 1 : 0);
    Values row(items.begin() + begin, items.begin() + end);
    if (bound.has(2) && !bound.required(2).is_none() && i >= size % slices)
      row.push_back(bound.required(2));
    rows.push_back(Value::list(std::move(row)));
    begin = end;
  }
  return Value::generator(std::move(rows));
}

/// Python's sum() begins at an int 0; a start of another type may be given.
Value sum(Call& call) {
  const Bound bound(call, {"iterable", "attribute", "start"});
  Value total = bound.get(2, int64_t{0});
  for (const Value& item : call.engine.iterate(bound.required(0))) {
    const Value part = follow(call.engine, item, bound.get(1, Value::none()));
    if (!part.is_number() || !total.is_number()) wrong_type("sum", "numbers", part);
    if (total.is_integer() && part.is_integer()) {
      int64_t result = 0;
      if (__builtin_add_overflow(total.integer(), part.integer(), &result))
        throw ConfigError("chat template: sum: the result is too large.");
      total = result;
    } else {
      total = total.number() + part.number();
    }
  }
  return total;
}

Value attr(Call& call) {
  const Bound bound(call, {"obj", "name"});
  const Value& object = bound.required(0);
  // Python looks at true attributes only: never at a dict's keys.
  if (object.dict() != nullptr && find_method(object, bound.text(1, "")) == nullptr)
    return Value::undefined("'dict object' has no attribute " + quote(bound.text(1, "")));
  return call.engine.attribute(object, bound.text(1, ""));
}

Value map(Call& call) {
  Values results;
  if (call.args.empty()) throw ConfigError("chat template: map: the value is missing.");
  if (call.args.size() == 1 && !call.keywords.empty()) {
    const Bound bound(call, {"value", "attribute", "default"});
    for (const Value& item : call.engine.iterate(bound.required(0))) {
      const Value* fallback = bound.has(2) ? &bound.required(2) : nullptr;
      results.push_back(follow(call.engine, item, bound.required(1), fallback));
    }
    return Value::generator(std::move(results));
  }
  if (call.args.size() < 2 || !call.args[1].is_string())
    throw ConfigError("chat template: map: it needs a filter's name or attribute=.");
  for (const Value& item : call.engine.iterate(call.args[0])) {
    Values args = {item};
    args.insert(args.end(), call.args.begin() + 2, call.args.end());
    results.push_back(
        call.engine.apply_filter(call.args[1].text(), std::move(args), call.keywords));
  }
  return Value::generator(std::move(results));
}

/// select, reject, selectattr and rejectattr.
template <bool kByAttribute, bool kKeep>
Value pick(Call& call) {
  const size_t test = kByAttribute ? 2 : 1;
  if (call.args.size() < test)
    throw ConfigError("chat template: " + call.name + ": an argument is missing.");
  Values kept;
  for (const Value& item : call.engine.iterate(call.args[0])) {
    const Value subject = kByAttribute ? follow(call.engine, item, call.args[1]) : item;
    bool passes = subject.truthy();
    if (call.args.size() > test) {
      if (!call.args[test].is_string())
        wrong_type(call.name, "the name of a test", call.args[test]);
      Values args = {subject};
      args.insert(args.end(), call.args.begin() + static_cast<std::ptrdiff_t>(test) + 1,
                  call.args.end());
      passes = call.engine.apply_test(call.args[test].text(), std::move(args), call.keywords);
    }
    if (passes == kKeep) kept.push_back(item);
  }
  return Value::generator(std::move(kept));
}

}  // namespace

const FunctionTable& list_filters() {
  static const FunctionTable kTable = {{"attr", attr},
                                       {"batch", batch},
                                       {"count", length},
                                       {"d", default_filter},
                                       {"default", default_filter},
                                       {"dictsort", dictsort},
                                       {"first", first},
                                       {"groupby", groupby},
                                       {"items", items_filter},
                                       {"join", join},
                                       {"last", last},
                                       {"length", length},
                                       {"list", list_filter},
                                       {"map", map},
                                       {"max", extreme<true>},
                                       {"min", extreme<false>},
                                       {"reject", pick<false, false>},
                                       {"rejectattr", pick<true, false>},
                                       {"reverse", reverse},
                                       {"select", pick<false, true>},
                                       {"selectattr", pick<true, true>},
                                       {"slice", slice},
                                       {"sort", sort},
                                       {"sum", sum},
                                       {"unique", unique}};
  return kTable;
}

}  // namespace peft::jinja
