// Tuner: folding adapters into the base weights and taking them out.

#include <algorithm>

#include "peft/adapter/folding.h"
#include "peft/adapter/shared_weights.h"
#include "peft/adapter/tuner.h"
#include "peft/adapter/weight_tying.h"
#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/base/warnings.h"

namespace peft {
namespace {

// What safe merging promises: nothing is written before every result was seen to be finite.
void check_results(const Attachment& attachment, const std::vector<std::string>& adapters) {
  const std::string& name = attachment.layer->parameter_name();
  const at::Tensor original = plain_weight(attachment);
  at::Tensor weight = base(attachment.found.weight).detach().clone();
  for (const std::string& adapter : adapters) {
    fold_in(*attachment.layer, adapter, weight, original, true);
    check_finite(weight, adapter, name);
    const at::Tensor bias = attachment.layer->bias_delta_of(adapter);
    if (bias.defined()) {
      check_finite(base(attachment.found.bias) + bias, adapter,
                   attachment.found.site.module_name + ".bias");
    }
  }
}

// The values to change: the weight's own bytes, or a copy of them that is written back.
at::Tensor to_change(const at::Tensor& weight) {
  const at::Tensor values = base(weight).detach();
  return offloaded(weight) ? values.clone() : values;
}

void apply(Attachment& attachment, const std::vector<std::string>& adapters, bool safe) {
  at::Tensor weight = to_change(attachment.found.weight);
  at::Tensor bias =
      attachment.found.bias.defined() ? to_change(attachment.found.bias) : at::Tensor();
  TunerLayer& layer = *attachment.layer;
  if (layer.merged_adapters().empty()) {
    attachment.original_weight = FormerValues(attachment.found.weight);
    if (bias.defined()) attachment.original_bias = FormerValues(attachment.found.bias);
  }
  const at::Tensor original = plain_weight(attachment);
  bool bias_changed = false;
  for (const std::string& adapter : adapters) {
    fold_in(layer, adapter, weight, original, safe || rounds_first(layer.site()));
    const at::Tensor bias_delta = layer.bias_delta_of(adapter);
    if (bias_delta.defined()) {
      bias.add_(bias_delta);
      bias_changed = true;
    }
  }
  write_base(attachment.found.weight, weight);
  if (bias_changed) write_base(attachment.found.bias, bias);
  auto& merged = layer.merged_adapters();
  merged.insert(merged.end(), adapters.begin(), adapters.end());
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

void Tuner::merge(const std::vector<std::string>& adapters, const MergeOptions& options) {
  if (is_prompt_learning() || method().attention) {
    throw UnsupportedError(
        "merge_adapter: a prompt cannot be folded into weights: expected a method "
        "that adapts them, got " +
        std::string(method().name) + ". Keep the adapter beside the model.");
  }
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
    if (options.safe) check_results(attachment, names);
    if (!names.empty()) written.push_back(&attachment);
  }
  check_unshared(written);
  if (!additional.empty()) {
    warn("Already following adapters were merged " + join(already, ",") +
         ". You are now additionally merging " + join(additional, ",") + ".");
  } else if (!already.empty()) {
    warn("All adapters are already merged, nothing to do.");
  }
  const bool was_merged = merged();
  int64_t done = 0;
  for (Attachment& attachment : attachments_) {
    const auto names = to_merge(*attachment.layer, wanted);
    try {
      if (!names.empty()) apply(attachment, names, options.safe);
    } catch (...) {  // no room for an offloaded weight
      if (!was_merged && options.can_unmerge) put_originals_back();
      throw;
    }
    if (!options.can_unmerge) attachment.original_weight = attachment.original_bias = {};
    if (options.progress) options.progress(++done, static_cast<int64_t>(attachments_.size()));
  }
}

void Tuner::unmerge() {
  if (!merged()) {
    warn("Already unmerged. Nothing to do.");
    return;
  }
  put_originals_back();
}

void Tuner::put_originals_back() {
  at::NoGradGuard no_grad;
  // Backwards, because tied weights were changed one after the other.
  for (auto it = attachments_.rbegin(); it != attachments_.rend(); ++it) {
    if (!it->original_weight) continue;
    it->original_weight.put_back(it->found.weight);
    if (it->original_bias) it->original_bias.put_back(it->found.bias);
    it->original_weight = it->original_bias = {};
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
      write_base(member.base, copy);
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
  prompts_.clear();
  attention_.clear();
  attachments_.clear();
  configs_.clear();
  active_.clear();
  paused_.clear();
  started_ = false;
}

}  // namespace peft
