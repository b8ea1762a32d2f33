#pragma once

#include <string_view>

#include "peft/adapter/tag_state.h"

namespace peft::dispatch {

/// Refuses the two places where libtorch would drop an adapter's gradient without a word: below
/// autograd, and under TorchScript's optimising executor, which differentiates graphs by itself.
///
/// Throws: UnsupportedError that names operator, parameter and the cure.
void refuse_lost_gradient(const Entry& entry, std::string_view op);

}  // namespace peft::dispatch
