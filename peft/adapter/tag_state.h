#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/TensorImpl.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "peft/adapter/layer.h"
#include "peft/adapter/offloaded_weight.h"
#include "peft/adapter/tag.h"
#include "peft/tensor/tag_key.h"

namespace peft::dispatch {

/// Inside, the dispatcher does not see tags: what runs works on the base's own bytes.
struct BelowTags {
  c10::impl::ExcludeDispatchKeyGuard guard{kTagKey};
};

/// What rides on a weight for one kind of call: a layer, a replacement, or nothing.
struct Entry {
  std::shared_ptr<AdapterLayer> layer = {};
  std::shared_ptr<Replacement> replacement = {};

  bool empty() const { return !layer && !replacement; }
  const std::string& parameter_name() const {
    return layer ? layer->parameter_name() : replacement->parameter_name();
  }
  bool operator==(const Entry&) const = default;
};

/// One entry a CallKind, in the order of the enumeration.
using Entries = std::array<Entry, 4>;
inline size_t index_of(CallKind kind) { return static_cast<size_t>(kind); }
inline bool any(const Entries& entries) {
  return std::any_of(entries.begin(), entries.end(), [](const Entry& e) { return !e.empty(); });
}

/// How a tagged tensor relates to the weight whose entries it reads.
enum class Form {
  kWhole,       // the weight itself, a shallow copy or a copy of it
  kAlias,       // a view that shows all of it, in place
  kTransposed,  // a view that is exactly weight.t()
  kView,        // any other view
};

/// The tag: it rides in the tensor's backend meta, next to the dispatch key. Immutable once it is
/// put on a tensor, so that running readers need no lock.
///
/// It never holds its own weight; only a view holds the tensor that it looks at.
class TagState final : public c10::BackendMeta {
 public:
  std::shared_ptr<const Entries> entries = {};        // of a whole
  std::shared_ptr<const OffloadedWeight> place = {};  // of a whole that has no bytes of its own
  Form form = Form::kWhole;
  at::Tensor whole = {};                                     // of a view: the tagged tensor below
  std::function<at::Tensor(const at::Tensor&)> replay = {};  // of a kView: the same view of another

  /// The tensor that was tagged, for comparison only: it may be gone.
  const c10::TensorImpl* origin = nullptr;
  /// True for the result of clone() and to(): its own bytes, and so its own base.
  bool is_copy = false;
  /// True for the result of data(): optimisers use it for arithmetic on the base.
  bool is_shallow = false;

  /// libtorch calls this for data() and set_data(). What set_data() receives is a parameter again.
  c10::intrusive_ptr<c10::BackendMeta> clone(
      const c10::intrusive_ptr<c10::BackendMeta>& self) const override;
};
using TagStatePtr = c10::intrusive_ptr<TagState>;

/// The tag of a tensor, null where there is none.
const TagState* find(const at::Tensor& tensor);

/// The weight that a tagged tensor reads the entries of: itself, or the one that it is a view of.
const at::Tensor& whole_of(const at::Tensor& tensor);

/// A tag for a whole weight with what its present tag holds, if it has one: to be changed and put.
TagStatePtr next_state(const at::Tensor& weight);

/// Puts a tag on a tensor, or takes it away. Neither calls an operator.
void put(const at::Tensor& tensor, TagStatePtr state);
void strip(const at::Tensor& tensor);

/// The same bytes, version counter and gradient edge without a tag: the only form of a tagged
/// tensor that autograd may save, since a saved tag would act a second time in backward. Of an
/// offloaded weight: its values, brought in.
at::Tensor plain(const at::Tensor& tensor);

/// True where the weight that `tensor` is, or is a view of, has no bytes of its own.
bool is_offloaded(const at::Tensor& tensor);

/// The entry that serves calls of a kind; null where the base does: no entry, or one that is not
/// active. `op` is for messages.
///
/// Throws: UnsupportedError where the kind is kOther and the kinds' entries differ.
const Entry* live_entry(const at::Tensor& whole, CallKind kind, std::string_view op);

/// What an operator gets in the place of a tagged tensor of any form, for calls of a kind.
///
/// Throws: UnsupportedError where the adapter cannot be read as a changed weight.
at::Tensor seen(const at::Tensor& tensor, CallKind kind, std::string_view op);

/// The same for any tensor: one without a tag is itself.
inline at::Tensor seen_or_same(const at::Tensor& tensor, CallKind kind, std::string_view op) {
  return is_tagged(tensor) ? seen(tensor, kind, op) : tensor;
}
inline std::optional<at::Tensor> seen_or_same(const std::optional<at::Tensor>& tensor,
                                              CallKind kind, std::string_view op) {
  return tensor && is_tagged(*tensor) ? std::optional(seen(*tensor, kind, op)) : tensor;
}

/// A layer that takes the whole call, and the plain weight to hand it.
struct FastRoad {
  const AdapterLayer* layer = nullptr;
  at::Tensor weight = {};
  bool transposed = false;  // the call was given weight.t()
  explicit operator bool() const { return layer != nullptr; }
};

/// Open where `weight` is a whole weight, or its transpose, with an active layer for the kind, and
/// `x` is an ordinary tensor: dense, not nested, not under a function transform.
FastRoad fast_road(const at::Tensor& x, const at::Tensor& weight, CallKind kind,
                   std::string_view op);

}  // namespace peft::dispatch
