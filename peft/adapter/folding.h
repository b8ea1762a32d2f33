#pragma once

#include <string>
#include <vector>

#include "peft/adapter/tuner.h"

namespace peft {

// Folding adapters into a weight: what merging in place and writing merged weights share.

/// A site's weight without any adapter, also while adapters are merged into it.
at::Tensor plain_weight(const Attachment& attachment);

/// The adapters that are still to be merged at a site, in order.
std::vector<std::string> to_merge(const TunerLayer& layer, const std::vector<std::string>& wanted);

/// Throws: UnsupportedError, ConfigError where these adapters cannot be folded in together.
void check_mergeable(const Attachment& attachment, const std::vector<std::string>& adapters);

/// Writes one adapter into a weight. `original`: the weight without any; with `round_first` the
/// change is rounded to the weight's type before it is added.
void fold_in(const TunerLayer& layer, const std::string& adapter, at::Tensor& weight,
             const at::Tensor& original, bool round_first);

/// Whether Python rounds a change to the weight's type before it adds it. Elsewhere the sum is made
/// in the wider of both types.
bool rounds_first(const Site& site);

/// Throws: ConfigError where a merged weight or bias has values that are not finite.
void check_finite(const at::Tensor& merged, const std::string& adapter,
                  const std::string& parameter);

}  // namespace peft
