#pragma once

#include <string_view>

namespace peft {

/// This library's version, "major.minor.patch".
std::string_view version();

/// The version of Python PEFT whose files and behaviour this library follows; it is what
/// `peft_version` says in the adapter_config.json files that are written here.
std::string_view followed_peft_version();

}  // namespace peft
