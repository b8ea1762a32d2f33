#include "peft/methods/lora/init/observed_inputs.h"

#include <ATen/ATen.h>

#include "peft/adapter/shared_weights.h"
#include "peft/adapter/tag.h"
#include "peft/base/error.h"

namespace peft::lora {

using at::Tensor;

// Rides on a weight in an adapter's place, adds nothing, and tells of each call.
class ObservedInputs::Watcher final : public AdapterLayer {
 public:
  Watcher(std::string name, SiteKind kind, std::function<void(const ObservedCall&)> tell)
      : name_(std::move(name)), kind_(kind), tell_(std::move(tell)) {}

  const std::string& parameter_name() const override { return name_; }
  bool active() const override { return true; }
  bool trainable() const override { return false; }
  std::string input_dependence() const override {
    return "the layer's input is being observed, which only products with the weight show";
  }
  Tensor delta(const Tensor&) const override { refuse(); }

  Tensor linear(const Tensor& x, const Tensor& weight,
                const std::optional<Tensor>& bias) const override {
    return told(x, at::linear(x, weight, bias));
  }
  Tensor transposed_linear(const Tensor& x, const Tensor& weight,
                           const std::optional<Tensor>& bias) const override {
    if (kind_ == SiteKind::kTransposedLinear) return linear(x, weight.t(), bias);
    refuse();
  }
  Tensor embedding(const Tensor& weight, const EmbeddingCall& call) const override {
    return at::embedding(weight, call.indices, call.padding_idx, call.scale_grad_by_freq,
                         call.sparse);
  }
  Tensor convolution(const Tensor&, const Tensor&, const std::optional<Tensor>&,
                     const ConvolutionCall&) const override {
    refuse();
  }

 private:
  [[noreturn]] void refuse() const {
    throw UnsupportedError(name_ + ": " + input_dependence() +
                           ". Leave this module out of target_modules.");
  }
  Tensor told(const Tensor& x, const Tensor& y) const {
    tell_({x, y});
    return y;
  }

  std::string name_;
  SiteKind kind_;
  std::function<void(const ObservedCall&)> tell_;
};

ObservedInputs::ObservedInputs(const ModelTree& tree, std::vector<ObservedLayer> layers,
                               Listener listener) {
  const SharedWeights shared(tree.modules());
  for (size_t i = 0; i < layers.size(); ++i) {
    const FoundSite& found = layers[i].found;
    auto kinds = shared.kinds(found.weight, found.module.name, call_kind(found.site.kind));
    auto watcher =
        std::make_shared<Watcher>(found.site.full_name(), found.site.kind,
                                  [listener, i](const ObservedCall& call) { listener(i, call); });
    watched_.push_back({std::move(layers[i]), std::move(watcher), std::move(kinds)});
  }
  size_t begun = 0;
  try {
    for (Watched& watched : watched_) {
      const Tensor& weight = watched.layer.found.weight;
      if (watched.layer.adapters) untag(weight, *watched.layer.adapters);
      ++begun;
      tag(weight, std::static_pointer_cast<AdapterLayer>(watched.watcher), watched.kinds);
    }
  } catch (...) {
    for (size_t i = 0; i < begun; ++i) end(watched_[i]);
    throw;
  }
}

void ObservedInputs::end(Watched& watched) {
  const Tensor& weight = watched.layer.found.weight;
  if (carries(weight, *watched.watcher)) untag(weight, *watched.watcher);
  if (!watched.layer.adapters) return;
  tag(weight, std::static_pointer_cast<AdapterLayer>(watched.layer.adapters), watched.kinds);
}

ObservedInputs::~ObservedInputs() {
  for (Watched& watched : watched_) end(watched);
}

}  // namespace peft::lora
