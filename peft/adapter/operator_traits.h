#pragma once

#include <string_view>

#include "peft/adapter/layer.h"

namespace peft::dispatch {

/// What an operator does with a weight that it is given; the default is a read of its values.
enum class Use {
  kRead,
  kMetadata,     // looks at shape, type or device only: the base serves
  kBookkeeping,  // copies or compares stored values: reads the base
  kArithmetic,   // elementwise: an optimiser's step reads the base, a forward what the model sees
  kIdentity,  // changes what the tensor object is (its storage or gradient flags), not its values
  kReshapeInPlace,  // turns the tensor object itself into another view: not possible under a tag
};

struct OperatorTraits {
  CallKind kind = CallKind::kOther;
  Use use = Use::kRead;
};

/// The traits of an operator by its qualified name without overload ("aten::mm", "aten::mm_" and
/// "aten::_foreach_add" are found under the name without underscore and prefix). Operators that are
/// not known are reads of kind kOther, which never ignores an adapter.
OperatorTraits traits_of(std::string_view op);

}  // namespace peft::dispatch
