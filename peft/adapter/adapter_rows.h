#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <string_view>
#include <vector>

namespace peft {

/// The name that stands for the base model where each row names its adapter.
inline constexpr std::string_view kBaseRow = "__base__";

/// Which adapter each row of a batch has.
struct AdapterRows {
  std::vector<std::string> adapters = {};  // each once, in the order of their first row
  std::vector<int64_t> places = {};        // of each row's adapter in `adapters`; -1: the base

  /// `names`: one a row, of an adapter or `__base__`.
  static AdapterRows of(const std::vector<std::string>& names);

  /// The same adapters with some of the rows, in the order given.
  AdapterRows select(const std::vector<int64_t>& rows) const;
};

/// The rows of a batch sorted by adapter, and what is done with them.
/// Legend: B rows of the batch, G rows of one adapter.
class RowGroups {
 public:
  struct Group {
    size_t place = 0;                // of the adapter in AdapterRows::adapters
    std::vector<int64_t> rows = {};  // rising
    bool consecutive = true;         // the rows follow each other
  };

  /// Rows of the base are in no group.
  explicit RowGroups(const AdapterRows& rows);

  /// Rows of one adapter that follow each other.
  struct Run {
    size_t place;         // of the adapter in AdapterRows::adapters
    int64_t first, last;  // rows [first, last)
  };

  int64_t batch() const { return batch_; }
  /// In the order of the batch.
  const std::vector<Run>& runs() const { return runs_; }
  const std::vector<Group>& groups() const { return groups_; }

  /// x with the batch in front: as it is, or [B, T, I] of a matrix [B T, I], in which the rows of
  /// the batch follow each other as in a flattened [B, T, I].
  /// Throws: MismatchError where the number of rows does not fit; `where` names the parameter.
  at::Tensor batched(const at::Tensor& x, const std::string& where) const;

  /// The rows of a group; a view where they are consecutive.  x [B, ...] -> [G, ...]
  at::Tensor take(const Group& group, const at::Tensor& x) const;

  /// y with `update` added to the rows of a group: in place, unless gradients are recorded.
  at::Tensor add(const Group& group, const at::Tensor& y, const at::Tensor& update) const;

  /// y with the rows of a group replaced, likewise.
  at::Tensor put(const Group& group, const at::Tensor& y, const at::Tensor& values) const;

 private:
  int64_t batch_;
  std::vector<Group> groups_;
  std::vector<Run> runs_;
};

}  // namespace peft
