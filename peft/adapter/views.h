#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

namespace peft::dispatch {

using Replay = std::function<at::Tensor(const at::Tensor&)>;

/// True where a copy of `source` may carry its tag on: a whole weight or its transpose, in a type
/// that can hold W + delta. Other copies are made of what the model sees.
bool copies_keep_tag(const at::Tensor& source, at::ScalarType dtype);

/// Tags `copy`, which holds a copy of the base bytes of the tagged `source`.
void tag_copy(const at::Tensor& copy, const at::Tensor& source);

/// Tags `view`, a view of the base bytes of the tagged `source`; `replay` makes the same view of
/// another tensor of the source's shape and strides.
void tag_view(const at::Tensor& view, const at::Tensor& source, Replay replay);

/// Before a write to a tagged tensor: a copy owns its bytes, so it becomes what the model sees and
/// loses the tag, as if it had been copied from a merged weight. Others stay: writes reach the
/// base.
void settle_copy(const at::Tensor& written);

}  // namespace peft::dispatch
