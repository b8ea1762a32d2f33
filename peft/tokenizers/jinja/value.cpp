#include "peft/tokenizers/jinja/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "peft/base/error.h"
#include "peft/tokenizers/jinja/runtime.h"
#include "peft/tokenizers/jinja/value_text.h"

namespace peft::jinja {
namespace {

constexpr int kMaxDepth = 200;
constexpr int64_t kMaxWeight = 20'000'000;
constexpr int64_t kTextStretch = 256;  // bytes of text that weigh as much as one value

void check_extent(const Extent& extent) {
  if (extent.depth > kMaxDepth || extent.weight > kMaxWeight)
    throw ConfigError(
        fmt::format("chat template: a value is too large: expected at most {} levels and {} parts.",
                    kMaxDepth, kMaxWeight));
}

void include(Extent& extent, const Value& part) {
  const Extent inner = part.extent();
  extent.depth = std::max(extent.depth, inner.depth + 1);
  extent.weight += inner.weight;
}

Extent extent_of(const Values& items) {
  Extent extent{.depth = 1};
  for (const Value& item : items) {
    include(extent, item);
    check_extent(extent);
  }
  return extent;
}

std::shared_ptr<const Sequence> sequence_of(Values items) {
  const Extent extent = extent_of(items);
  return std::make_shared<const Sequence>(Sequence{std::move(items), extent});
}

Value json_value(const Json& json, int depth) {
  if (depth > kMaxDepth)
    throw ConfigError(fmt::format(
        "chat template: the messages are nested too deeply: expected at most {} levels.",
        kMaxDepth));
  switch (json.type()) {
    case Json::value_t::boolean:
      return json.get<bool>();
    case Json::value_t::number_integer:
      return json.get<int64_t>();
    case Json::value_t::number_unsigned: {
      const auto number = json.get<uint64_t>();
      if (number > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
        throw ConfigError(fmt::format(
            "chat template: an integer is too large: expected at most 2^63 - 1, got {}.", number));
      return static_cast<int64_t>(number);
    }
    case Json::value_t::number_float:
      return json.get<double>();
    case Json::value_t::string:
      return json.get_ref<const std::string&>();
    case Json::value_t::array: {
      Values items;
      items.reserve(json.size());
      for (const Json& item : json) items.push_back(json_value(item, depth + 1));
      return Value::list(std::move(items));
    }
    case Json::value_t::object: {
      DictData dict;
      for (const auto& [key, item] : json.items()) dict.set(key, json_value(item, depth + 1));
      return Value::dict(std::move(dict));
    }
    default:
      return Value::none();
  }
}

bool equal_items(const Values& a, const Values& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), equal);
}

bool equal_dicts(const DictData& a, const DictData& b) {
  if (a.entries().size() != b.entries().size()) return false;
  return std::all_of(a.entries().begin(), a.entries().end(), [&](const auto& entry) {
    const Value* other = b.find(entry.first);
    return other != nullptr && equal(entry.second, *other);
  });
}

}  // namespace

void DictData::set(const Value& key, Value value) {
  const auto [place, is_new] = index_.try_emplace(key_text(key), entries_.size());
  include(extent_, key);
  include(extent_, value);
  if (is_new) {
    entries_.emplace_back(key, std::move(value));
  } else {
    entries_[place->second].second = std::move(value);
  }
}

const Value* DictData::find(const Value& key) const {
  const auto place = index_.find(key_text(key));
  return place == index_.end() ? nullptr : &entries_[place->second].second;
}

Value Value::undefined(std::string why) {
  return Value(Storage(Undefined{std::make_shared<const std::string>(std::move(why))}));
}

Value Value::list(Values items) { return Value(Storage(List{sequence_of(std::move(items))})); }

Value Value::tuple(Values items) { return Value(Storage(Tuple{sequence_of(std::move(items))})); }

Value Value::dict(DictData data) {
  check_extent(data.extent());
  return Value(Storage(Dict{std::make_shared<const DictData>(std::move(data))}));
}

Value Value::generator(Values items) {
  const Extent extent = extent_of(items);
  return Value(Storage(Generator{
      std::make_shared<Generator::State>(Generator::State{std::move(items), 0, extent})}));
}

Value Value::from_json(const Json& json) { return json_value(json, 0); }

bool Value::is_number() const { return is_integer() || as<double>() != nullptr; }

bool Value::is_callable() const {
  return as<const Native*>() != nullptr || as<const Macro*>() != nullptr ||
         as<BoundMethod>() != nullptr || as<Loop*>() != nullptr;
}

const Values* Value::sequence() const {
  if (const auto* list = as<List>()) return &list->data->items;
  if (const auto* tuple = as<Tuple>()) return &tuple->data->items;
  return nullptr;
}

const DictData* Value::dict() const {
  const auto* dict = as<Dict>();
  return dict == nullptr ? nullptr : dict->data.get();
}

int64_t Value::integer() const {
  if (const auto* flag = as<bool>()) return *flag ? 1 : 0;
  return std::get<int64_t>(data_);
}

double Value::number() const {
  if (const auto* real = as<double>()) return *real;
  return static_cast<double>(integer());
}

Extent Value::extent() const {
  if (const auto* list = as<List>()) return list->data->extent;
  if (const auto* tuple = as<Tuple>()) return tuple->data->extent;
  if (const auto* dict = as<Dict>()) return dict->data->extent();
  if (const auto* generator = as<Generator>()) return generator->state->extent;
  if (const auto* method = as<BoundMethod>()) {
    Extent extent;
    include(extent, *method->self);
    return extent;
  }
  Extent extent;
  if (is_string()) extent.weight += static_cast<int64_t>(text().size()) / kTextStretch;
  return extent;
}

bool Value::truthy() const {
  if (is_undefined() || is_none()) return false;
  if (is_integer()) return integer() != 0;
  if (is_number()) return number() != 0;
  if (is_string()) return !text().empty();
  if (const Values* items = sequence()) return !items->empty();
  if (const DictData* entries = dict()) return !entries->entries().empty();
  return true;
}

std::string Value::type_name() const {
  static constexpr const char* kNames[] = {
      "Undefined", "NoneType",  "bool",   "int",      "float", "str",       "list",       "tuple",
      "dict",      "generator", "method", "function", "Macro", "Namespace", "LoopContext"};
  static_assert(std::size(kNames) == std::variant_size_v<Storage>);
  return kNames[data_.index()];
}

bool equal(const Value& a, const Value& b) {
  if (a.is_integer() && b.is_integer()) return a.integer() == b.integer();
  if (a.is_number() && b.is_number()) return a.number() == b.number();
  if (a.storage().index() != b.storage().index()) return false;
  if (a.is_undefined() || a.is_none()) return true;
  if (a.is_string()) return a.text() == b.text();
  if (const Values* items = a.sequence()) return equal_items(*items, *b.sequence());
  if (const DictData* dict = a.dict()) return equal_dicts(*dict, *b.dict());
  if (const auto* generator = a.as<Generator>())
    return generator->state == b.as<Generator>()->state;
  if (const auto* method = a.as<BoundMethod>())
    return method->name == b.as<BoundMethod>()->name &&
           equal(*method->self, *b.as<BoundMethod>()->self);
  return a.as<const Native*>() != nullptr  ? *a.as<const Native*>() == *b.as<const Native*>()
         : a.as<const Macro*>() != nullptr ? *a.as<const Macro*>() == *b.as<const Macro*>()
         : a.as<Namespace*>() != nullptr   ? *a.as<Namespace*>() == *b.as<Namespace*>()
                                           : *a.as<Loop*>() == *b.as<Loop*>();
}

bool less(const Value& a, const Value& b) {
  if (a.is_integer() && b.is_integer()) return a.integer() < b.integer();
  if (a.is_number() && b.is_number()) return a.number() < b.number();
  // UTF-8 sorts by bytes as Python sorts by code points.
  if (a.is_string() && b.is_string()) return a.text() < b.text();
  const bool same = a.storage().index() == b.storage().index();
  if (const Values* items = a.sequence(); items != nullptr && same) {
    const Values& others = *b.sequence();
    for (size_t i = 0; i < std::min(items->size(), others.size()); ++i) {
      if (!equal((*items)[i], others[i])) return less((*items)[i], others[i]);
    }
    return items->size() < others.size();
  }
  check_defined(a);
  check_defined(b);
  throw ConfigError(fmt::format("chat template: values of types '{}' and '{}' have no order.",
                                a.type_name(), b.type_name()));
}

std::string key_text(const Value& key) {
  if (key.is_string()) return "s" + key.text();
  if (key.is_integer()) return fmt::format("i{}", key.integer());
  if (key.is_number()) {
    const double number = key.number();
    // 1.0 and 1 are the same key.
    if (number == std::floor(number) && std::abs(number) < 9e18)
      return fmt::format("i{}", static_cast<int64_t>(number));
    return fmt::format("f{}", number);
  }
  if (key.is_none()) return "n";
  if (const auto* tuple = key.as<Tuple>()) {
    std::string text = "t";
    for (const Value& item : tuple->data->items) {
      const std::string part = key_text(item);
      text += fmt::format("{}:{}", part.size(), part);
    }
    return text;
  }
  if (key.is_undefined()) return "u";
  throw ConfigError(
      fmt::format("chat template: a value of type '{}' cannot be a key.", key.type_name()));
}

}  // namespace peft::jinja
