#include "peft/adapter/tag_state.h"

#include <c10/core/GradMode.h>

#include <algorithm>
#include <typeinfo>
#include <utility>

#include "peft/adapter/gradient_guard.h"
#include "peft/base/error.h"

namespace peft::dispatch {
namespace {

// The key set is protected in TensorImpl; a pointer to member formed in a child may reach it.
struct KeySetAccess : c10::TensorImpl {
  static c10::DispatchKeySet& of(c10::TensorImpl* tensor) {
    return tensor->*(&KeySetAccess::key_set_);
  }
};

bool is_live(const Entry& entry) {
  if (entry.layer) return entry.layer->active();
  if (!entry.replacement) return false;
  return entry.replacement->current().defined() || entry.replacement->per_row() != nullptr;
}

const Entry* agreed_entry(const Entries& entries, std::string_view op) {
  static const Entry kNothing;
  auto live = [&](CallKind kind) -> const Entry& {
    const Entry& entry = entries[index_of(kind)];
    return is_live(entry) ? entry : kNothing;
  };
  const Entry& product = live(CallKind::kProduct);
  if (product == live(CallKind::kLookup) && product == live(CallKind::kConvolution)) {
    return product.empty() ? nullptr : &product;
  }
  auto some = std::find_if(entries.begin(), entries.end(), is_live);
  throw UnsupportedError(std::string(op) + " on '" + some->parameter_name() +
                         "': the weight has different adapters for products and lookups: expected "
                         "an operator that is one or the other, got one that may be either. Read "
                         "peft::base(w) or peft::effective(w, kind) instead.");
}

// A view is replayed on a tensor with the strides of the one that it was taken of.
at::Tensor laid_out_like(const at::Tensor& model, const at::Tensor& tensor) {
  if (model.layout() != at::kStrided || tensor.layout() != at::kStrided) return tensor;
  if (tensor.strides() == model.strides()) return tensor;
  return at::empty_strided(model.sizes(), model.strides(), tensor.options()).copy_(tensor);
}

void check_readable(const AdapterLayer& layer, const at::Tensor& weight, std::string_view op) {
  if (auto reason = layer.input_dependence(); !reason.empty()) {
    throw UnsupportedError(std::string(op) + " on '" + layer.parameter_name() +
                           "': the adapter's effect depends on the input (" + reason +
                           "): expected linear, addmm, mm, matmul, embedding or a convolution, got "
                           "an operator that reads the weight alone. Use one of these, or eval().");
  }
  if (!at::isFloatingType(weight.scalar_type()) && !at::isComplexType(weight.scalar_type())) {
    throw UnsupportedError(std::string(op) + " on '" + layer.parameter_name() +
                           "': the base weight is stored in a packed form: expected linear or "
                           "another operator that its adapter serves, got one that reads numbers "
                           "of type " +
                           c10::toString(weight.scalar_type()) + ". Dequantise the weight first.");
  }
}

at::Tensor changed_weight(const AdapterLayer& layer, const at::Tensor& whole, std::string_view op) {
  check_readable(layer, whole, op);
  auto weight = plain(whole);
  if (auto replaced = layer.replaced(weight); replaced.defined()) return replaced;
  auto delta = layer.delta(weight);
  if (delta.sizes() != weight.sizes()) {
    throw MismatchError(std::string(op) + " on '" + layer.parameter_name() +
                        "': the adapter does not fit the weight: expected a change of shape " +
                        c10::str(weight.sizes()) + ", got " + c10::str(delta.sizes()) +
                        ". The weight was resized after the adapter was put on it: unload the "
                        "adapter first.");
  }
  return weight + delta.to(weight.scalar_type());
}

// What a tagged tensor of any form shows, where its whole is `weight`.
at::Tensor as_form(const TagState& state, const at::Tensor& whole, const at::Tensor& weight) {
  switch (state.form) {
    case Form::kWhole:
    case Form::kAlias:
      return weight;
    case Form::kTransposed:
      return weight.t();
    case Form::kView:
      return state.replay(laid_out_like(whole, weight));
  }
  return weight;
}

at::Tensor seen_whole(const at::Tensor& whole, const Entry& entry, std::string_view op) {
  refuse_lost_gradient(entry, op);
  if (entry.layer) return changed_weight(*entry.layer, whole, op);
  if (const auto* layer = entry.replacement->per_row()) return changed_weight(*layer, whole, op);
  return entry.replacement->current();
}

// Function transforms, sparse and nested inputs are for the operator itself, with the whole weight.
bool is_ordinary(const at::Tensor& x) {
  return x.layout() == at::kStrided && !x.key_set().has(c10::DispatchKey::NestedTensor) &&
         !c10::impl::tls_is_dispatch_key_included(c10::DispatchKey::FuncTorchDynamicLayerFrontMode);
}

}  // namespace

c10::intrusive_ptr<c10::BackendMeta> TagState::clone(
    const c10::intrusive_ptr<c10::BackendMeta>& self) const {
  if (form != Form::kWhole) return self;
  auto copy = c10::make_intrusive<TagState>();
  copy->entries = entries;
  copy->place = place;
  copy->origin = origin;
  // A copy's meta is cloned when set_data() moves it into a parameter: Module::to, Module::clone.
  copy->is_shallow = !is_copy;
  return copy;
}

const TagState* find(const at::Tensor& tensor) {
  auto* meta = tensor.unsafeGetTensorImpl()->get_backend_meta();
  // The class is final: comparing types is enough, and cheaper than dynamic_cast.
  return meta && typeid(*meta) == typeid(TagState) ? static_cast<const TagState*>(meta) : nullptr;
}

const at::Tensor& whole_of(const at::Tensor& tensor) {
  auto* state = find(tensor);
  return state && state->form != Form::kWhole ? state->whole : tensor;
}

TagStatePtr next_state(const at::Tensor& weight) {
  const TagState* before = find(weight);
  auto state = c10::make_intrusive<TagState>();
  state->entries = before ? before->entries : std::make_shared<const Entries>();
  state->place = before ? before->place : nullptr;
  state->is_copy = before && before->is_copy;
  state->origin = weight.unsafeGetTensorImpl();
  return state;
}

void put(const at::Tensor& tensor, TagStatePtr state) {
  auto* impl = tensor.unsafeGetTensorImpl();
  impl->set_backend_meta(std::move(state));
  auto& keys = KeySetAccess::of(impl);
  keys = keys.add(kTagKey);
}

void strip(const at::Tensor& tensor) {
  auto* impl = tensor.unsafeGetTensorImpl();
  if (find(tensor)) impl->set_backend_meta({});
  auto& keys = KeySetAccess::of(impl);
  keys = keys.remove(kTagKey);
}

bool is_offloaded(const at::Tensor& tensor) {
  auto* state = find(whole_of(tensor));
  return state && state->place;
}

at::Tensor plain(const at::Tensor& tensor) {
  if (auto* whole = find(whole_of(tensor)); whole && whole->place) {
    return as_form(*find(tensor), whole_of(tensor), whole->place->bring_in());
  }
  BelowTags below;
  auto* impl = tensor.unsafeGetTensorImpl();
  at::Tensor out;
  if (tensor.requires_grad() && at::GradMode::is_enabled()) {
    out = at::alias(tensor);
  } else if (typeid(*impl) == typeid(c10::TensorImpl)) {
    // What detach() does, without the dispatcher. The version counter is shared: a write to the
    // base during a live graph is still noticed.
    out = at::Tensor(impl->shallow_copy_and_detach(impl->version_counter(), false));
  } else {
    out = at::detach(tensor);
  }
  strip(out);
  return out;
}

const Entry* live_entry(const at::Tensor& whole, CallKind kind, std::string_view op) {
  auto* state = find(whole);
  if (!state) return nullptr;
  const Entry& own = state->entries->at(index_of(kind));
  if (kind == CallKind::kOther && own.empty()) return agreed_entry(*state->entries, op);
  return is_live(own) ? &own : nullptr;
}

at::Tensor seen(const at::Tensor& tensor, CallKind kind, std::string_view op) {
  auto* state = find(tensor);
  if (!state) return plain(tensor);
  const at::Tensor& whole = whole_of(tensor);
  auto* entry = live_entry(whole, kind, op);
  if (!entry) return plain(tensor);
  return as_form(*state, whole, seen_whole(whole, *entry, op));
}

FastRoad fast_road(const at::Tensor& x, const at::Tensor& weight, CallKind kind,
                   std::string_view op) {
  if (!is_tagged(weight) || !is_ordinary(x)) return {};
  auto* state = find(weight);
  if (!state || state->form == Form::kView) return {};
  const at::Tensor& whole = whole_of(weight);
  auto* entry = live_entry(whole, kind, op);
  if (!entry) return {};
  const AdapterLayer* layer = entry->layer ? entry->layer.get() : entry->replacement->per_row();
  if (!layer) return {};
  refuse_lost_gradient(*entry, op);
  return {layer, plain(whole), state->form == Form::kTransposed};
}

}  // namespace peft::dispatch
