#include "peft/adapter/tag.h"

#include <algorithm>
#include <string>
#include <utility>

#include "peft/adapter/adapter_parameters.h"
#include "peft/adapter/registration.h"
#include "peft/adapter/tag_state.h"
#include "peft/base/error.h"

namespace peft {
namespace {

using dispatch::Entries;
using dispatch::Entry;
using dispatch::TagState;

std::string where(const Entry& entry) { return "tag on '" + entry.parameter_name() + "'"; }

void check_weight(const at::Tensor& weight, const Entry& entry) {
  if (!weight.defined()) {
    throw ConfigError(where(entry) +
                      ": the weight is undefined: expected a parameter of the model, got nothing. "
                      "Load the model before adapting it.");
  }
  if (is_adapter_parameter(weight)) {
    throw ConfigError(where(entry) +
                      ": the parameter belongs to an adapter: expected a weight of the base model, "
                      "got an adapter's own parameter or a replacement. Target a base module.");
  }
  if (is_tagged(weight) && !dispatch::find(weight)) {
    throw ConfigError(where(entry) +
                      ": the tensor is the product of a library that works below tags: expected a "
                      "parameter of the model, got a view without its tag. Tag the parameter.");
  }
  if (is_tagged(weight) && dispatch::find(weight)->form != dispatch::Form::kWhole) {
    throw ConfigError(where(entry) +
                      ": the tensor is a view of an adapted weight: expected a parameter of the "
                      "model, got a view. Tag the parameter itself.");
  }
}

void check_replacement(const at::Tensor& parameter, const Entry& entry) {
  auto current = entry.replacement->current();
  if (!current.defined()) return;
  if (is_tagged(current)) {
    throw ConfigError(where(entry) +
                      ": the replacement carries a tag: expected a plain tensor, got one that is "
                      "adapted itself. Replace the base parameter once.");
  }
  if (current.sizes() != parameter.sizes()) {
    throw ConfigError(where(entry) + ": the replacement does not fit: expected shape " +
                      c10::str(parameter.sizes()) + ", got " + c10::str(current.sizes()) +
                      ". Copy the parameter that is replaced.");
  }
}

void put_entry(const at::Tensor& weight, const Entry& entry, const std::vector<CallKind>& kinds) {
  check_weight(weight, entry);
  if (entry.replacement) check_replacement(weight, entry);
  auto state = dispatch::next_state(weight);
  auto entries = *state->entries;
  for (auto kind : kinds) {
    Entry& place = entries[dispatch::index_of(kind)];
    if (!place.empty()) {
      throw ConfigError(where(entry) +
                        ": the weight is adapted already: expected no adapter for this kind of "
                        "call, got the one of '" +
                        place.parameter_name() + "'. Add adapters to that site instead.");
    }
    place = entry;
  }
  register_dispatcher();
  if (entry.replacement) mark_as_adapter_parameter(entry.replacement->current());
  state->entries = std::make_shared<const Entries>(std::move(entries));
  dispatch::put(weight, std::move(state));
}

// `is_it` tells the entries in question.
template <typename IsIt>
void remove_entries(const at::Tensor& weight, IsIt is_it) {
  auto* before = weight.defined() ? dispatch::find(weight) : nullptr;
  if (!before || before->form != dispatch::Form::kWhole) return;
  auto entries = *before->entries;
  for (auto& entry : entries) {
    if (is_it(entry)) entry = {};
  }
  if (!dispatch::any(entries) && !before->place) return dispatch::strip(weight);
  auto state = dispatch::next_state(weight);
  state->entries = std::make_shared<const Entries>(std::move(entries));
  state->origin = before->origin;
  dispatch::put(weight, std::move(state));
}

template <typename IsIt>
bool has_entry(const at::Tensor& weight, IsIt is_it) {
  if (!is_tagged(weight)) return false;
  auto* state = dispatch::find(weight);
  return state && state->form == dispatch::Form::kWhole &&
         std::any_of(state->entries->begin(), state->entries->end(), is_it);
}

auto is_layer(const AdapterLayer& layer) {
  return [&layer](const Entry& entry) { return entry.layer.get() == &layer; };
}
auto is_replacement(const Replacement& replacement) {
  return [&replacement](const Entry& entry) { return entry.replacement.get() == &replacement; };
}

}  // namespace

void tag(const at::Tensor& weight, std::shared_ptr<AdapterLayer> layer,
         const std::vector<CallKind>& kinds) {
  put_entry(weight, {.layer = std::move(layer)}, kinds);
}

void tag(const at::Tensor& parameter, std::shared_ptr<Replacement> replacement,
         const std::vector<CallKind>& kinds) {
  put_entry(parameter, {.replacement = std::move(replacement)}, kinds);
}

void untag(const at::Tensor& weight, const AdapterLayer& layer) {
  remove_entries(weight, is_layer(layer));
}

void untag(const at::Tensor& parameter, const Replacement& replacement) {
  remove_entries(parameter, is_replacement(replacement));
}

bool carries(const at::Tensor& weight, const AdapterLayer& layer) {
  return has_entry(weight, is_layer(layer));
}

bool carries(const at::Tensor& parameter, const Replacement& replacement) {
  return has_entry(parameter, is_replacement(replacement));
}

bool is_adapted(const at::Tensor& weight) {
  if (!is_tagged(weight)) return false;
  const TagState* state = dispatch::find(dispatch::whole_of(weight));
  return state && dispatch::any(*state->entries);
}

at::Tensor base(const at::Tensor& weight) {
  return is_tagged(weight) ? dispatch::plain(weight) : weight;
}

at::Tensor effective(const at::Tensor& weight, CallKind kind) {
  return dispatch::seen_or_same(weight, kind, "peft::effective");
}

}  // namespace peft
