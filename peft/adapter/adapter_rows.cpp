#include "peft/adapter/adapter_rows.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "peft/base/error.h"

namespace peft {

AdapterRows AdapterRows::of(const std::vector<std::string>& names) {
  AdapterRows rows;
  for (const std::string& name : names) {
    if (name == kBaseRow) {
      rows.places.push_back(-1);
      continue;
    }
    const auto found = std::find(rows.adapters.begin(), rows.adapters.end(), name);
    rows.places.push_back(found - rows.adapters.begin());
    if (found == rows.adapters.end()) rows.adapters.push_back(name);
  }
  return rows;
}

AdapterRows AdapterRows::select(const std::vector<int64_t>& rows) const {
  AdapterRows selected{.adapters = adapters};
  for (const int64_t row : rows) selected.places.push_back(places.at(static_cast<size_t>(row)));
  return selected;
}

namespace {

at::Tensor index_of(const RowGroups::Group& group, const at::Tensor& like) {
  return at::tensor(group.rows, at::kLong).to(like.device());
}

}  // namespace

// Each layer makes its own when a batch begins, so nothing here calls libtorch.
RowGroups::RowGroups(const AdapterRows& rows) : batch_(static_cast<int64_t>(rows.places.size())) {
  std::vector<Group> of_places(rows.adapters.size());
  for (int64_t row = 0; row < batch_; ++row) {
    const int64_t place = rows.places[static_cast<size_t>(row)];
    if (place < 0) continue;
    const auto which = static_cast<size_t>(place);
    of_places[which].rows.push_back(row);
    if (!runs_.empty() && runs_.back().place == which && runs_.back().last == row) {
      ++runs_.back().last;
    } else {
      runs_.push_back({.place = which, .first = row, .last = row + 1});
    }
  }
  for (size_t place = 0; place < of_places.size(); ++place) {
    Group& group = of_places[place];
    if (group.rows.empty()) continue;
    group.place = place;
    group.consecutive =
        group.rows.back() - group.rows.front() + 1 == static_cast<int64_t>(group.rows.size());
    groups_.push_back(std::move(group));
  }
}

at::Tensor RowGroups::batched(const at::Tensor& x, const std::string& where) const {
  const int64_t rows = x.dim() == 0 ? 1 : x.size(0);
  if (rows == batch_) return x;
  if (x.dim() == 2 && batch_ > 0 && rows % batch_ == 0) {
    return x.reshape({batch_, rows / batch_, x.size(1)});
  }
  throw MismatchError(where +
                      ": length of `adapter_names` should be the same as the number of inputs: "
                      "expected " +
                      std::to_string(rows) + " names, got " + std::to_string(batch_) +
                      ". Give one name a row of the batch.");
}

at::Tensor RowGroups::take(const Group& group, const at::Tensor& x) const {
  if (group.consecutive) {
    return x.narrow(0, group.rows.front(), static_cast<int64_t>(group.rows.size()));
  }
  return x.index_select(0, index_of(group, x));
}

at::Tensor RowGroups::add(const Group& group, const at::Tensor& y, const at::Tensor& update) const {
  if (at::GradMode::is_enabled()) return y.index_add(0, index_of(group, y), update);
  if (group.consecutive) {
    take(group, y).add_(update);
  } else {
    y.index_add_(0, index_of(group, y), update);
  }
  return y;
}

at::Tensor RowGroups::put(const Group& group, const at::Tensor& y, const at::Tensor& values) const {
  const at::Tensor index = index_of(group, y);
  if (at::GradMode::is_enabled()) return y.index_copy(0, index, values);
  y.index_copy_(0, index, values);
  return y;
}

}  // namespace peft
