// Tuner: folding adapters into the base weights and taking them out.

#include <algorithm>

#include "peft/adapter/shared_weights.h"
#include "peft/adapter/tuner.h"
#include "peft/adapter/weight_tying.h"
#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/base/warnings.h"

namespace peft {
namespace {

[[noreturn]] void throw_not_finite(const std::string& adapter, const std::string& parameter) {
  throw ConfigError("merge: " + parameter +
                    ": NaNs detected in the merged weights: expected finite "
                    "values, got NaN or infinity. The adapter " +
                    adapter + " seems to be broken. Merge another one, or train it anew.");
}

bool is_finite(const at::Tensor& tensor) { return at::isfinite(tensor).all().item<bool>(); }

// The adapters that are still to be merged at a site, in order.
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

// Writes one adapter into a weight. `original`: the weight without any.
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

// What safe merging promises: nothing is written before every result was seen to be finite.
void check_finite(const Attachment& attachment, const std::vector<std::string>& adapters) {
  const std::string& name = attachment.layer->parameter_name();
  const at::Tensor plain = base(attachment.found.weight).detach();
  const at::Tensor original =
      attachment.original_weight.defined() ? attachment.original_weight : plain;
  at::Tensor weight = plain.clone();
  for (const std::string& adapter : adapters) {
    fold_in(*attachment.layer, adapter, weight, original, true);
    if (!is_finite(weight)) throw_not_finite(adapter, name);
    const at::Tensor bias = attachment.layer->bias_delta_of(adapter);
    if (bias.defined() && !is_finite(base(attachment.found.bias) + bias)) {
      throw_not_finite(adapter, attachment.found.site.module_name + ".bias");
    }
  }
}

// Whether Python rounds a change to the weight's type before it adds it. Elsewhere the sum is made
// in the wider of both types.
bool rounds_first(const Site& site) {
  return site.kind == SiteKind::kEmbedding || site.kind == SiteKind::kAttentionInput ||
         site.kind == SiteKind::kAttentionOutput;
}

void apply(Attachment& attachment, const std::vector<std::string>& adapters, bool safe) {
  at::Tensor weight = base(attachment.found.weight).detach();
  at::Tensor bias =
      attachment.found.bias.defined() ? base(attachment.found.bias).detach() : at::Tensor();
  TunerLayer& layer = *attachment.layer;
  if (layer.merged_adapters().empty()) {
    attachment.original_weight = weight.clone();
    if (bias.defined()) attachment.original_bias = bias.clone();
  }
  for (const std::string& adapter : adapters) {
    fold_in(layer, adapter, weight, attachment.original_weight, safe || rounds_first(layer.site()));
    const at::Tensor bias_delta = layer.bias_delta_of(adapter);
    if (bias_delta.defined()) bias.add_(bias_delta);
    layer.merged_adapters().push_back(adapter);
  }
}

void warn_of_tied_targets(const std::vector<std::string>& targeted) {
  std::vector<std::string> tied;
  for (const std::string& name : targeted) {
    if (is_embedding_name(name)) tied.push_back(name);
  }
  if (tied.empty()) return;
  warn("Model with `tie_word_embeddings=True` and the tied_target_modules=" + join_names(tied) +
       " are part of the adapter. This can lead to complications: the change of each of them goes "
       "into their one weight. Untie the embeddings before (tie_word_embeddings=False).");
}

}  // namespace

void Tuner::merge(const std::vector<std::string>& adapters, bool safe) {
  const std::vector<std::string> wanted = adapters.empty() ? active_ : adapters;
  for (const std::string& adapter : wanted) config(adapter);
  if (facts_.tied_head) warn_of_tied_targets(targeted_modules());
  at::NoGradGuard no_grad;
  std::vector<std::string> already, additional;
  std::vector<const Attachment*> written;
  for (const Attachment& attachment : attachments_) {
    const auto names = to_merge(*attachment.layer, wanted);
    const auto& merged = attachment.layer->merged_adapters();
    if (!merged.empty()) already = merged;
    if (!merged.empty() && !names.empty()) additional = names;
    check_mergeable(attachment, names);
    if (!names.empty()) written.push_back(&attachment);
    if (safe) check_finite(attachment, names);
  }
  check_unshared(written);
  if (!additional.empty()) {
    warn("Already following adapters were merged " + join(already, ",") +
         ". You are now additionally merging " + join(additional, ",") + ".");
  } else if (!already.empty()) {
    warn("All adapters are already merged, nothing to do.");
  }
  for (Attachment& attachment : attachments_) {
    const auto names = to_merge(*attachment.layer, wanted);
    if (!names.empty()) apply(attachment, names, safe);
  }
}

void Tuner::unmerge() {
  if (!merged()) {
    warn("Already unmerged. Nothing to do.");
    return;
  }
  at::NoGradGuard no_grad;
  // Backwards, because tied weights were changed one after the other.
  for (auto it = attachments_.rbegin(); it != attachments_.rend(); ++it) {
    if (it->layer->merged_adapters().empty()) continue;
    base(it->found.weight).detach().copy_(it->original_weight);
    if (it->original_bias.defined()) base(it->found.bias).detach().copy_(it->original_bias);
    it->original_weight = it->original_bias = at::Tensor();
    it->layer->merged_adapters().clear();
  }
}

bool Tuner::merged() const {
  return std::any_of(attachments_.begin(), attachments_.end(), [](const Attachment& attachment) {
    return !attachment.layer->merged_adapters().empty();
  });
}

// Where all who share a weight have one copy of it, the copy's values become the weight's.
bool Tuner::stays_tied(const SharedWeights& shared, const at::Tensor& weight) const {
  at::Tensor one;
  size_t owners = 0;
  for (const auto& saved : saved_) {
    if (saved->active().empty()) continue;
    for (const SavedModule::Member& member : saved->members()) {
      if (!member.base.is_same(weight)) continue;
      const at::Tensor copy = saved->copy_of(saved->active(), member.name);
      if (!copy.defined() || (one.defined() && !copy.is_same(one))) return false;
      one = copy;
      ++owners;
    }
  }
  return owners == shared.owners(weight).size();
}

void Tuner::check_untying() const {
  const SharedWeights shared(tree_.modules());
  for (const auto& saved : saved_) {
    if (saved->active().empty()) continue;
    for (const SavedModule::Member& member : saved->members()) {
      if (shared.owners(member.base).size() < 2 || stays_tied(shared, member.base)) continue;
      if (give_own_weight(member.owner, last_part(member.name), member.base, false)) continue;
      throw UnsupportedError(
          "unload: " + member.replacement->parameter_name() + ": the copy of adapter '" +
          saved->active() + "' cannot take the place of a weight that is shared by " +
          join_names(shared.owners(member.base)) +
          ": expected Linear, Embedding or a class that implements peft::AdoptsWeight, got " +
          class_name(member.owner) + ". Untie the model, or deactivate the adapter first.");
    }
  }
}

// In Python the copy itself takes the module's place: whoever shared the weight with it keeps the
// former one, and the copy goes on learning.
void Tuner::leave_copies() {
  const SharedWeights shared(tree_.modules());
  for (const auto& saved : saved_) {
    const std::string adapter = saved->active();
    detach_saved(*saved);
    for (const SavedModule::Member& member : saved->members()) {
      const at::Tensor copy = saved->copy_of(adapter, member.name);
      if (!copy.defined()) continue;
      const bool tied = shared.owners(member.base).size() > 1;
      if (!member.is_buffer && tied && !stays_tied(shared, member.base)) {
        give_own_weight(member.owner, last_part(member.name),
                        copy.detach().requires_grad_(copy.requires_grad()));
        continue;
      }
      base(member.base).detach().copy_(copy);
      if (!member.is_buffer && member.base.is_leaf()) {
        member.base.requires_grad_(copy.requires_grad());
      }
    }
  }
}

void Tuner::unload() {
  at::NoGradGuard no_grad;
  check_untying();
  leave_copies();
  for (Attachment& attachment : attachments_) detach_site(attachment);
  saved_.clear();
  attachments_.clear();
  configs_.clear();
  active_.clear();
  paused_.clear();
  started_ = false;
}

}  // namespace peft
