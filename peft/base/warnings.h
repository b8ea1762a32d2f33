#pragma once

#include <functional>
#include <string>

namespace peft {

/// Receives the text of a warning, from any thread (a tokenizer is read beside the weights). The
/// default sink drops it: the library never prints.
using WarningSink = std::function<void(const std::string&)>;

/// Replaces the sink of the whole process and returns the former one. Thread-safe.
WarningSink set_warning_sink(WarningSink sink);

/// Hands one warning to the sink. Thread-safe.
void warn(const std::string& text);

}  // namespace peft
