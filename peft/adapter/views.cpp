#include "peft/adapter/views.h"

#include <ATen/ATen.h>
#include <torch/library.h>

#include <utility>

#include "peft/adapter/kernels.h"
#include "peft/adapter/tag_state.h"

namespace peft::dispatch {
namespace {

bool is_plain_strided(const at::Tensor& tensor) {
  return tensor.layout() == at::kStrided && tensor.has_storage() && !tensor.is_conj() &&
         !tensor.is_neg();
}

// What a view shows follows from its geometry, whichever operators made it, as long as none of them
// looked at the bits as another type.
Form form_of(const at::Tensor& view, const at::Tensor& source, const at::Tensor& whole) {
  if (!is_plain_strided(view) || !is_plain_strided(source) || !is_plain_strided(whole) ||
      view.scalar_type() != whole.scalar_type() || source.scalar_type() != whole.scalar_type() ||
      view.dim() != whole.dim() || view.storage_offset() != whole.storage_offset()) {
    return Form::kView;
  }
  if (view.sizes() == whole.sizes() && view.strides() == whole.strides()) return Form::kAlias;
  bool is_transpose = whole.dim() == 2 && view.size(0) == whole.size(1) &&
                      view.size(1) == whole.size(0) && view.stride(0) == whole.stride(1) &&
                      view.stride(1) == whole.stride(0);
  return is_transpose ? Form::kTransposed : Form::kView;
}

Replay after(const at::Tensor& source, Replay replay) {
  switch (auto* state = find(source); state->form) {
    case Form::kTransposed:
      return [replay = std::move(replay)](const at::Tensor& w) { return replay(w.t()); };
    case Form::kView:
      return [before = state->replay, replay = std::move(replay)](const at::Tensor& w) {
        return replay(before(w));
      };
    default:
      return replay;
  }
}

TagStatePtr view_state(Form form, const at::Tensor& whole) {
  auto state = c10::make_intrusive<TagState>();
  state->form = form;
  state->whole = whole;
  return state;
}

at::Tensor transpose(const at::Tensor& weight) {
  auto below = [&] {
    BelowTags guard;
    return at::t(weight);
  }();
  if (!find(weight)) {
    strip(below);
  } else {
    tag_view(below, weight, [](const at::Tensor& w) { return w.t(); });
  }
  return below;
}

// libtorch copies the tag as it does for data(). Unlike data(), a detached weight is read as the
// model sees it in arithmetic too; and a detached view must not lead back to the base's gradient.
at::Tensor detach(const at::Tensor& weight) {
  at::Tensor out;
  {
    BelowTags below;
    out = at::detach(weight);
  }
  auto* from = find(weight);
  if (!from) {
    strip(out);
    return out;
  }
  auto state = c10::make_intrusive<TagState>();
  state->entries = from->entries;
  state->place = from->place;
  state->origin = from->origin;
  state->form = from->form;
  state->replay = from->replay;
  if (from->form != Form::kWhole) state->whole = from->whole.detach();
  put(out, std::move(state));
  return out;
}

}  // namespace

bool copies_keep_tag(const at::Tensor& source, at::ScalarType dtype) {
  bool holds_a_sum = dtype == at::kFloat || dtype == at::kDouble || dtype == at::kHalf ||
                     dtype == at::kBFloat16 || at::isComplexType(dtype);
  return find(source)->form != Form::kView && holds_a_sum;
}

void tag_copy(const at::Tensor& copy, const at::Tensor& source) {
  const at::Tensor& whole = whole_of(source);
  auto* from = find(whole);
  if (!from || !any(*from->entries)) return strip(copy);
  auto state = c10::make_intrusive<TagState>();
  state->entries = from->entries;
  state->origin = from->origin;
  state->is_copy = true;
  if (find(source)->form != Form::kTransposed) return put(copy, std::move(state));
  // The copy of w.t() is the transpose of a copy of w: products keep their fast road.
  at::Tensor copied_whole = copy.t();
  put(copied_whole, std::move(state));
  put(copy, view_state(Form::kTransposed, copied_whole));
}

void tag_view(const at::Tensor& view, const at::Tensor& source, Replay replay) {
  const at::Tensor& whole = whole_of(source);
  auto state = view_state(form_of(view, source, whole), whole);
  if (state->form == Form::kView) state->replay = after(source, std::move(replay));
  put(view, std::move(state));
}

void settle_copy(const at::Tensor& written) {
  const at::Tensor whole = whole_of(written);
  auto* state = find(whole);
  if (!state || !state->is_copy) return;
  auto* entry = live_entry(whole, CallKind::kOther, "a write to a copy");
  auto value = entry ? seen(whole, CallKind::kOther, "a write to a copy") : at::Tensor();
  strip(whole);
  strip(written);
  if (!value.defined()) return;
  whole.copy_(value);
  // A view learns of its base's new history when it is asked; a write to it does not ask.
  if (!written.is_same(whole)) written.grad_fn();
}

void register_view_kernels(torch::Library& aten) {
  aten.impl("t", transpose);
  aten.impl("detach", detach);
}

}  // namespace peft::dispatch
