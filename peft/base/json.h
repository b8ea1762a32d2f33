#pragma once

#include <nlohmann/json.hpp>

namespace peft {

/// JSON that keeps the order of its keys, as files written for people should.
using Json = nlohmann::ordered_json;

}  // namespace peft
