#include "peft/tokenizers/jinja/filters.h"

#include <charconv>

#include "peft/base/text.h"

namespace peft::jinja {

Function find_filter(std::string_view name) {
  for (const FunctionTable* table : {&text_filters(), &list_filters()}) {
    const auto place = table->find(name);
    if (place != table->end()) return place->second;
  }
  return nullptr;
}

Value follow(Engine& engine, Value value, const Value& path, const Value* fallback) {
  if (path.is_none()) return value;
  const auto step = [&](const Value& key) {
    value = engine.item(value, key);
    if (fallback != nullptr && value.is_undefined()) value = *fallback;
  };
  if (!path.is_string()) {
    step(path);
    return value;
  }
  for (const std::string& part : split(path.text(), '.')) {
    int64_t number = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), number);
    const bool numeric = error == std::errc() && end == part.data() + part.size() && number >= 0;
    step(numeric ? Value(number) : Value(part));
  }
  return value;
}

}  // namespace peft::jinja
