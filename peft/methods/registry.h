#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "peft/adapter/method.h"

namespace peft {

/// Every method of methods.def, in its order.
std::span<const Method* const> all_methods();

/// The method of a peft_type ("LORA").
/// Throws: UnsupportedError that lists the known ones.
const Method& find_method(std::string_view peft_type);

/// The folder of a method below peft/methods, as methods.def names it.
std::string_view method_folder(const Method& method);

/// The methods whose adapters may share a model with those of others (PeftMixedModel).
/// Source: PEFT_TYPE_TO_MIXED_MODEL_MAPPING in peft/mapping.py.
std::vector<const Method*> mixable_methods();

/// Reads adapter_config.json of any method. `where` names the file.
/// Throws: FormatError (no object, no peft_type), ConfigError, UnsupportedError (unknown method).
/// Source: PeftConfigMixin.from_pretrained in peft/config.py.
PeftConfig parse_config(const Json& object, std::string_view where);

}  // namespace peft
