#pragma once

#include <string>
#include <string_view>

namespace peft {

/// What Python puts before every name of a wrapped model.
inline constexpr const char* kFilePrefix = "base_model.model.";

/// The same for prompt learning, whose model is wrapped once.
inline constexpr const char* kPromptFilePrefix = "base_model.";

/// A name in the base model from one of Python's, which may have the prefix or not.
inline std::string without_file_prefix(const std::string& name) {
  return name.starts_with(kFilePrefix) ? name.substr(std::string_view(kFilePrefix).size()) : name;
}

}  // namespace peft
