#include <algorithm>
#include <unordered_map>

#include "peft/base/error.h"
#include "peft/tokenizers/jinja/runtime.h"
#include "peft/tokenizers/jinja/string_methods.h"
#include "peft/tokenizers/jinja/value_text.h"

namespace peft::jinja {
namespace {

Value dict_get(Call& call) {
  const Bound bound(call, {"self", "key", "default"});
  if (!call.keywords.empty()) throw ConfigError("chat template: get: it takes no keywords.");
  const Value* value = bound.required(0).dict()->find(bound.required(1));
  return value != nullptr ? *value : bound.get(2, Value::none());
}

Value dict_items(Call& call) {
  Values items;
  for (const auto& [key, value] : call.args[0].dict()->entries())
    items.push_back(Value::tuple({key, value}));
  call.engine.budget().spend_steps(static_cast<int64_t>(items.size()));
  return Value::list(std::move(items));
}

Value dict_keys(Call& call) { return Value::list(call.engine.iterate(call.args[0])); }

Value dict_values(Call& call) {
  Values values;
  for (const auto& [key, value] : call.args[0].dict()->entries()) values.push_back(value);
  call.engine.budget().spend_steps(static_cast<int64_t>(values.size()));
  return Value::list(std::move(values));
}

Value copied(Call& call) { return call.args[0]; }

Value sequence_count(Call& call) {
  const Bound bound(call, {"self", "value"});
  call.engine.budget().spend_on(call.args[0]);
  const Values& items = *bound.required(0).sequence();
  return static_cast<int64_t>(std::count_if(items.begin(), items.end(), [&](const Value& item) {
    return equal(item, bound.required(1));
  }));
}

Value sequence_index(Call& call) {
  const Bound bound(call, {"self", "value"});
  call.engine.budget().spend_on(call.args[0]);
  const Values& items = *bound.required(0).sequence();
  for (size_t i = 0; i < items.size(); ++i) {
    if (equal(items[i], bound.required(1))) return static_cast<int64_t>(i);
  }
  throw ConfigError("chat template: index: the value is not in the list.");
}

using Table = std::unordered_map<std::string_view, Function>;

const Table& dict_methods() {
  static const Table kTable = {{"get", dict_get},
                               {"items", dict_items},
                               {"keys", dict_keys},
                               {"values", dict_values},
                               {"copy", copied}};
  return kTable;
}

const Table& sequence_methods() {
  static const Table kTable = {{"count", sequence_count}, {"index", sequence_index}};
  return kTable;
}

Function find_in(const Table& table, std::string_view name) {
  const auto place = table.find(name);
  return place == table.end() ? nullptr : place->second;
}

}  // namespace

Function find_method(const Value& self, std::string_view name) {
  if (self.is_string()) return find_string_method(name);
  if (self.dict() != nullptr) return find_in(dict_methods(), name);
  if (self.as<List>() != nullptr && name == "copy") return copied;
  return self.sequence() != nullptr ? find_in(sequence_methods(), name) : nullptr;
}

}  // namespace peft::jinja
