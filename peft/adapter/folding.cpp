#include "peft/adapter/folding.h"

#include <algorithm>

#include "peft/base/error.h"

namespace peft {

at::Tensor plain_weight(const Attachment& attachment) {
  if (attachment.original_weight) return attachment.original_weight.values();
  return base(attachment.found.weight).detach();
}

std::vector<std::string> to_merge(const TunerLayer& layer, const std::vector<std::string>& wanted) {
  std::vector<std::string> names;
  const auto& merged = layer.merged_adapters();
  for (const std::string& adapter : wanted) {
    const bool done = std::find(merged.begin(), merged.end(), adapter) != merged.end();
    if (!done && layer.has(adapter)) names.push_back(adapter);
  }
  return names;
}

void check_mergeable(const Attachment& attachment, const std::vector<std::string>& adapters) {
  const TunerLayer& layer = *attachment.layer;
  std::vector<std::string> before = layer.merged_adapters();
  for (const std::string& adapter : adapters) {
    const std::string obstacle = layer.merge_obstacle(adapter);
    if (!obstacle.empty()) {
      throw UnsupportedError("merge: " + layer.parameter_name() + ": " + obstacle +
                             ". Keep the adapter as it is, unmerged.");
    }
    const std::string conflict = layer.merge_conflict(adapter, before);
    if (!conflict.empty()) {
      throw ConfigError("merge: " + layer.parameter_name() + ": " + conflict +
                        ". Merge one of them alone.");
    }
    before.push_back(adapter);
  }
}

void fold_in(const TunerLayer& layer, const std::string& adapter, at::Tensor& weight,
             const at::Tensor& original, bool round_first) {
  const at::Tensor whole = layer.weight_after(adapter, weight);
  if (whole.defined()) {
    weight.copy_(whole);
    return;
  }
  const at::Tensor delta = layer.delta_after(adapter, weight, original);
  weight.add_(round_first ? delta.to(weight.scalar_type()) : delta);
}

bool rounds_first(const Site& site) {
  return site.kind == SiteKind::kEmbedding || site.kind == SiteKind::kAttentionInput ||
         site.kind == SiteKind::kAttentionOutput;
}

void check_finite(const at::Tensor& merged, const std::string& adapter,
                  const std::string& parameter) {
  if (at::isfinite(merged).all().item<bool>()) return;
  throw ConfigError("merge: " + parameter +
                    ": NaNs detected in the merged weights: expected finite "
                    "values, got NaN or infinity. The adapter " +
                    adapter + " seems to be broken. Merge another one, or train it anew.");
}

}  // namespace peft
