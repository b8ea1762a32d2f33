#include "peft/tensor/state_dict.h"

#include <fmt/format.h>

#include "peft/base/error.h"
#include "peft/base/text.h"

namespace peft {

StateDict::StateDict(std::initializer_list<Entry> entries) {
  for (const Entry& entry : entries) set(entry.first, entry.second);
}

void StateDict::set(std::string name, at::Tensor tensor) {
  const auto [place, added] = places_.try_emplace(name, entries_.size());
  if (added) {
    entries_.emplace_back(std::move(name), std::move(tensor));
  } else {
    entries_[place->second].second = std::move(tensor);
  }
}

const at::Tensor* StateDict::find(std::string_view name) const {
  const auto place = places_.find(std::string(name));
  return place == places_.end() ? nullptr : &entries_[place->second].second;
}

const at::Tensor& StateDict::at(std::string_view name) const {
  if (const at::Tensor* found = find(name)) return *found;
  const std::vector<std::string> close = closest_names(name, names());
  throw NotFoundError(fmt::format("state dict: there is no tensor {} among {}.{}", quote(name),
                                  size(),
                                  close.empty() ? "" : " Closest: " + join_names(close) + "."));
}

bool StateDict::erase(std::string_view name) {
  const auto place = places_.find(std::string(name));
  if (place == places_.end()) return false;
  const size_t index = place->second;
  places_.erase(place);
  entries_.erase(entries_.begin() + static_cast<ptrdiff_t>(index));
  for (auto& [ignored, other] : places_) {
    if (other > index) --other;
  }
  return true;
}

std::vector<std::string> StateDict::names() const {
  std::vector<std::string> out;
  out.reserve(entries_.size());
  for (const Entry& entry : entries_) out.push_back(entry.first);
  return out;
}

}  // namespace peft
