#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "peft/base/json.h"

namespace peft {

/// Reads layer_replication: ranges [begin, end) of layers. Null or an empty list: none.
/// Throws: ConfigError where it is something else.
std::vector<std::pair<int64_t, int64_t>> parse_layer_ranges(const Json& field);

}  // namespace peft
