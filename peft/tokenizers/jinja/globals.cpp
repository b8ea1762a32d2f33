#include <fmt/format.h>

#include <ctime>

#include "peft/base/error.h"
#include "peft/tokenizers/jinja/runtime.h"
#include "peft/tokenizers/jinja/value_text.h"

namespace peft::jinja {
namespace {

constexpr uint64_t kMaxRange = 100'000;  // jinja2.sandbox.MAX_RANGE

Value range(Call& call) {
  if (call.args.empty() || call.args.size() > 3 || !call.keywords.empty())
    throw ConfigError("chat template: range: expected 1 to 3 numbers.");
  int64_t bounds[3] = {0, 0, 1};
  for (size_t i = 0; i < call.args.size(); ++i) {
    if (!call.args[i].is_integer()) wrong_type("range", "int", call.args[i]);
    bounds[call.args.size() == 1 ? 1 : i] = call.args[i].integer();
  }
  const auto [first, last, step] = bounds;
  if (step == 0) throw ConfigError("chat template: range: the step is zero.");
  const bool empty = step > 0 ? first >= last : first <= last;
  // Differences of int64_t always fit uint64_t.
  const uint64_t span = step > 0 ? static_cast<uint64_t>(last) - static_cast<uint64_t>(first)
                                 : static_cast<uint64_t>(first) - static_cast<uint64_t>(last);
  const uint64_t stride = step > 0 ? static_cast<uint64_t>(step) : 0 - static_cast<uint64_t>(step);
  const uint64_t count = empty ? 0 : (span - 1) / stride + 1;
  if (count > kMaxRange)
    throw ConfigError(fmt::format(
        "chat template: range: it is too long: expected at most {}, got {}.", kMaxRange, count));
  call.engine.budget().spend_steps(static_cast<int64_t>(count));
  Values items;
  for (uint64_t i = 0; i < count; ++i)
    items.emplace_back(
        static_cast<int64_t>(static_cast<uint64_t>(first) + i * static_cast<uint64_t>(step)));
  return Value::list(std::move(items));
}

/// dict(...) and namespace(...): a dict, then keywords.
DictData fields_of(const Call& call) {
  DictData dict;
  if (call.args.size() > 1)
    throw ConfigError("chat template: " + call.name + ": expected at most one dict.");
  if (!call.args.empty()) {
    if (call.args[0].dict() != nullptr) {
      dict = *call.args[0].dict();
    } else {
      for (const Value& pair : call.engine.iterate(call.args[0])) {
        const Values parts = call.engine.iterate(pair);
        if (parts.size() != 2)
          throw ConfigError("chat template: " + call.name + ": expected pairs.");
        dict.set(parts[0], parts[1]);
      }
    }
  }
  for (const auto& [key, value] : call.keywords) dict.set(key, value);
  return dict;
}

Value make_dict(Call& call) { return Value::dict(fields_of(call)); }

Value make_namespace(Call& call) {
  std::map<std::string, Value> fields;
  const auto given = fields_of(call);
  for (const auto& [key, value] : given.entries()) {
    if (!key.is_string()) wrong_type("namespace", "keys of type str", key);
    fields.insert_or_assign(key.text(), value);
  }
  return call.engine.make_namespace(std::move(fields));
}

Value raise_exception(Call& call) {
  const Bound bound(call, {"message"});
  throw ConfigError("chat template: " + text_of(call.engine, bound.required(0)));
}

Value strftime_now(Call& call) {
  const Bound bound(call, {"format"});
  bound.required(0);
  const std::string format = bound.text(0, "");
  const std::time_t now = std::time(nullptr);
  std::tm local = {};
  localtime_r(&now, &local);
  char buffer[1024];
  return std::string(buffer, std::strftime(buffer, sizeof buffer, format.c_str(), &local));
}

}  // namespace

const std::vector<Native>& global_functions() {
  static const std::vector<Native> kFunctions = {{"range", range},
                                                 {"dict", make_dict},
                                                 {"namespace", make_namespace},
                                                 {"raise_exception", raise_exception},
                                                 {"strftime_now", strftime_now}};
  return kFunctions;
}

}  // namespace peft::jinja
