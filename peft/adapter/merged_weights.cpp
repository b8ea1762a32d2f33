#include "peft/adapter/merged_weights.h"

#include <algorithm>

#include "peft/adapter/folding.h"
#include "peft/base/error.h"

namespace peft {

MergedWeights::MergedWeights(const Tuner& tuner, const std::vector<std::string>& adapters,
                             bool safe)
    : safe_(safe) {
  if (!can_be_made(tuner)) {
    throw UnsupportedError(
        "merged weights: expected adapters that are not merged, without copies of whole modules, "
        "got others. Use merge_and_unload.");
  }
  const std::vector<std::string>& wanted = adapters.empty() ? tuner.active_adapters() : adapters;
  for (const std::string& adapter : wanted) tuner.config(adapter);
  std::vector<const Attachment*> written;
  for (const Attachment& attachment : tuner.attachments()) {
    Part part{&attachment, to_merge(*attachment.layer, wanted)};
    if (part.adapters.empty()) continue;
    check_mergeable(attachment, part.adapters);
    written.push_back(&attachment);
    const auto& bias = attachment.found.bias;
    if (bias.defined()) biases_[bias.unsafeGetTensorImpl()].push_back(part);
    weights_[attachment.found.weight.unsafeGetTensorImpl()].push_back(std::move(part));
  }
  tuner.check_unshared(written);
}

bool MergedWeights::can_be_made(const Tuner& tuner) {
  const auto& saved = tuner.saved_modules();
  return !tuner.merged() && std::all_of(saved.begin(), saved.end(), [](const auto& module) {
    return module->active().empty();
  });
}

at::Tensor MergedWeights::value_of(const at::Tensor& parameter) const {
  const at::NoGradGuard no_grad;
  if (const auto found = weights_.find(parameter.unsafeGetTensorImpl()); found != weights_.end()) {
    return merged_weight(parameter, found->second);
  }
  if (const auto found = biases_.find(parameter.unsafeGetTensorImpl()); found != biases_.end()) {
    return merged_bias(parameter, found->second);
  }
  return base(parameter).detach();
}

at::Tensor MergedWeights::merged_weight(const at::Tensor& parameter,
                                        const std::vector<Part>& parts) const {
  at::Tensor weight = base(parameter).detach().clone();
  for (size_t i = 0; i < parts.size(); ++i) {
    const TunerLayer& layer = *parts[i].attachment->layer;
    // As it is before this attachment's adapters; the first one finds it in the base itself.
    const at::Tensor original = i == 0 ? base(parameter).detach() : weight.clone();
    for (const std::string& adapter : parts[i].adapters) {
      fold_in(layer, adapter, weight, original, safe_ || rounds_first(layer.site()));
      if (safe_) check_finite(weight, adapter, layer.parameter_name());
    }
  }
  return weight;
}

at::Tensor MergedWeights::merged_bias(const at::Tensor& parameter,
                                      const std::vector<Part>& parts) const {
  at::Tensor bias = base(parameter).detach().clone();
  for (const Part& part : parts) {
    for (const std::string& adapter : part.adapters) {
      const at::Tensor change = part.attachment->layer->bias_delta_of(adapter);
      if (!change.defined()) continue;
      bias.add_(change);
      if (safe_) check_finite(bias, adapter, part.attachment->found.site.module_name + ".bias");
    }
  }
  return bias;
}

}  // namespace peft
