#include "peft/adapter/offloaded_weight.h"

#include <ATen/ATen.h>
#include <c10/core/StorageImpl.h>

#include <string>
#include <utility>

#include "peft/adapter/registration.h"
#include "peft/adapter/tag.h"
#include "peft/adapter/tag_state.h"
#include "peft/base/error.h"

namespace peft {
namespace {

using dispatch::TagState;

// A tensor of the weight's geometry over a storage of its size that holds nothing: views of it can
// be made, and whoever asks for its data gets an error of libtorch's.
at::Tensor without_bytes(const at::Tensor& weight, at::Device device) {
  const at::Tensor model = at::empty({0}, weight.options().device(device).requires_grad(false));
  c10::Storage storage(c10::Storage::use_byte_size_t(),
                       weight.numel() * static_cast<int64_t>(weight.element_size()),
                       at::DataPtr(nullptr, model.device()), nullptr, false);
  storage.unsafeGetStorageImpl()->release_data_and_set_meta_custom_data_ptr_error_msg_(
      "the weight is offloaded: read it by an operator, or call peft::bring_back first");
  auto impl =
      c10::make_intrusive<c10::TensorImpl>(std::move(storage), model.key_set(), model.dtype());
  impl->set_sizes_contiguous(weight.sizes());
  return at::Tensor(std::move(impl));
}

void give_data(const at::Tensor& weight, const at::Tensor& data) {
  const dispatch::BelowTags below;
  weight.set_data(data);
}

void put_place(const at::Tensor& weight, std::shared_ptr<const OffloadedWeight> place) {
  auto state = dispatch::next_state(weight);
  state->place = std::move(place);
  dispatch::put(weight, std::move(state));
}

void check_offloadable(const at::Tensor& weight) {
  const auto refuse = [&](const std::string& got) {
    throw ConfigError("offload: expected a frozen, dense parameter, got " + got + " of shape " +
                      c10::str(weight.sizes()) + ". Leave it on the device that computes.");
  };
  if (weight.requires_grad()) refuse("one that is trained");
  if (weight.layout() != at::kStrided) refuse("a sparse one");
  const TagState* state = dispatch::find(weight);
  if (is_tagged(weight) && (!state || state->form != dispatch::Form::kWhole)) refuse("a view");
}

}  // namespace

void offload(const at::Tensor& weight, std::shared_ptr<const OffloadedWeight> place,
             at::Device device) {
  check_offloadable(weight);
  register_dispatcher();
  auto state = dispatch::next_state(weight);
  state->place = std::move(place);
  give_data(weight, without_bytes(weight, device));
  dispatch::put(weight, std::move(state));
}

void bring_back(const at::Tensor& weight) {
  const auto place = offloaded(weight);
  if (!place) return;
  const at::Tensor values = place->bring_in().clone();
  auto state = dispatch::next_state(weight);
  state->place = nullptr;
  dispatch::strip(weight);
  weight.set_data(values);
  if (dispatch::any(*state->entries)) dispatch::put(weight, std::move(state));
}

std::shared_ptr<const OffloadedWeight> offloaded(const at::Tensor& weight) {
  const TagState* state = is_tagged(weight) ? dispatch::find(weight) : nullptr;
  return state ? state->place : nullptr;
}

void write_base(const at::Tensor& weight, const at::Tensor& values) {
  const auto place = offloaded(weight);
  if (!place) {
    const at::NoGradGuard no_grad;
    const at::Tensor bytes = base(weight).detach();
    if (!bytes.is_same(values) && !bytes.is_alias_of(values)) bytes.copy_(values);
    return;
  }
  put_place(weight, place->with(values));
}

FormerValues::FormerValues(const at::Tensor& weight) : place_(offloaded(weight)) {
  if (!place_) copy_ = base(weight).detach().clone();
}

void FormerValues::put_back(const at::Tensor& weight) const {
  const TagState* state = is_tagged(weight) ? dispatch::find(weight) : nullptr;
  if (place_ && state && state->place) {
    put_place(weight, place_);
    return;
  }
  write_base(weight, values());
}

}  // namespace peft
