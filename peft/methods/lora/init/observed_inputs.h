#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "peft/adapter/model_tree.h"
#include "peft/adapter/site.h"
#include "peft/adapter/tuner_layer.h"

namespace peft::lora {

/// What a linear layer was called with, and what it gave.  x [..., I] -> y [..., O]
struct ObservedCall {
  const at::Tensor& x;
  const at::Tensor& y;
};

/// A layer to be observed.
struct ObservedLayer {
  FoundSite found = {};
  std::shared_ptr<TunerLayer> adapters = {};  // that ride on the weight now; null: none
};

/// While it lives, each call of a layer's weight is told of, and computes what the base computes:
/// adapters on these layers are off. In the place of forward hooks, which libtorch does not have.
///
/// Not to be made or ended while a forward runs.
class ObservedInputs {
 public:
  /// Called with the place of the layer in the list.
  using Listener = std::function<void(size_t, const ObservedCall&)>;

  /// Throws: UnsupportedError where two layers use one weight alike; then nothing has changed.
  ObservedInputs(const ModelTree& tree, std::vector<ObservedLayer> layers, Listener listener);
  ~ObservedInputs();
  ObservedInputs(const ObservedInputs&) = delete;
  ObservedInputs& operator=(const ObservedInputs&) = delete;

 private:
  class Watcher;
  struct Watched {
    ObservedLayer layer;
    std::shared_ptr<Watcher> watcher;
    std::vector<CallKind> kinds;
  };
  void end(Watched& watched);

  std::vector<Watched> watched_;
};

}  // namespace peft::lora
