#include "peft/methods/registry.h"

#include <array>
#include <string>
#include <vector>

#include "peft/base/error.h"
#include "peft/base/text.h"

namespace peft {

#define PEFT_METHOD(room)      \
  namespace room {             \
  extern const Method kMethod; \
  }
#include "peft/methods/methods.def"
#undef PEFT_METHOD

std::span<const Method* const> all_methods() {
#define PEFT_METHOD(room) &room::kMethod,
  static constexpr std::array kAll{
#include "peft/methods/methods.def"
  };
#undef PEFT_METHOD
  return kAll;
}

const Method& find_method(std::string_view peft_type) {
  std::vector<std::string> known;
  for (const Method* method : all_methods()) {
    if (method->name == peft_type) return *method;
    known.emplace_back(method->name);
  }
  throw UnsupportedError("peft_type: expected one of " + join_names(known) + ", got '" +
                         std::string(peft_type) + "'. Convert the adapter with Python PEFT.");
}

std::string_view method_folder(const Method& method) {
#define PEFT_METHOD(room) \
  if (&method == &room::kMethod) return #room;
#include "peft/methods/methods.def"
#undef PEFT_METHOD
  return {};
}

std::vector<const Method*> mixable_methods() {
  std::vector<const Method*> mixable;
  for (const Method* method : all_methods()) {
    if (method->can_mix) mixable.push_back(method);
  }
  return mixable;
}

PeftConfig parse_config(const Json& object, std::string_view where) {
  if (!object.is_object() || !object.contains("peft_type") || !object["peft_type"].is_string()) {
    throw FormatError(std::string(where) +
                      ": expected a JSON object with the key peft_type, got none. Is this the "
                      "configuration of an adapter?");
  }
  const std::string peft_type = object["peft_type"].get<std::string>();
  try {
    return find_method(peft_type).parse(object, where);
  } catch (const UnsupportedError& error) {
    throw UnsupportedError(std::string(where) + ": " + error.what());
  }
}

}  // namespace peft
