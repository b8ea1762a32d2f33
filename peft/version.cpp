#include "peft/version.h"

namespace peft {

std::string_view version() { return "0.1.0"; }

std::string_view followed_peft_version() { return "0.21.2"; }

}  // namespace peft
