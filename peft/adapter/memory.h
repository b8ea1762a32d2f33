#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>

namespace peft {

/// Where the values of a tensor lie, or would lie if it were not offloaded: equal for tensors that
/// begin in the same memory. Null: the tensor has no storage.
using Memory = std::pair<const void*, int64_t>;

inline Memory memory_of(const at::Tensor& tensor) {
  if (!tensor.has_storage()) return {};
  return {tensor.storage().unsafeGetStorageImpl(), tensor.storage_offset()};
}

}  // namespace peft
