#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "peft/adapter/kernels.h"
#include "peft/adapter/operator_traits.h"
#include "peft/adapter/tag_state.h"
#include "peft/adapter/views.h"
#include "peft/base/error.h"

namespace peft::dispatch {
namespace {

using at::Tensor;
using c10::IValue;
using torch::jit::Stack;

bool is_written(const c10::Argument& argument) {
  return argument.alias_info() && argument.alias_info()->isWrite();
}
bool is_viewed(const c10::Argument& argument) {
  return argument.alias_info() && !argument.alias_info()->isWrite();
}

bool is_copy_operator(const std::string& op) {
  return op == "aten::clone" || op == "aten::_to_copy";
}

// Views that read no values, whatever the strides of their source are. Others may copy.
bool may_copy(const std::string& op) {
  static const std::unordered_set<std::string_view> views{
      "aten::alias",           "aten::as_strided", "aten::t",         "aten::transpose",
      "aten::permute",         "aten::numpy_T",    "aten::mT",        "aten::view",
      "aten::view_as",         "aten::slice",      "aten::select",    "aten::narrow",
      "aten::split",           "aten::chunk",      "aten::unbind",    "aten::unsqueeze",
      "aten::squeeze",         "aten::expand",     "aten::expand_as", "aten::diagonal",
      "aten::split_with_sizes"};
  return !views.contains(op);
}

/// One call of an operator on a stack that may hold tagged tensors.
class Call {
 public:
  Call(const c10::OperatorHandle& op, Stack* stack)
      : op_(op),
        stack_(*stack),
        schema_(op.schema()),
        name_(schema_.name()),
        traits_(traits_of(name_)),
        first_(stack->size() - schema_.arguments().size()) {}

  void run() {
    Tensor source = lazy_source();
    if (source.defined()) return run_lazily(source);
    run_on_values();
  }

 private:
  IValue& argument(size_t i) { return stack_[first_ + i]; }
  size_t count() const { return schema_.arguments().size(); }

  // The argument that a view or copy is taken of: by the schema all results alias it, or it is
  // what a copy operator copies.
  int source_index() const {
    if (is_copy_operator(name_)) return 0;
    const auto& results = schema_.returns();
    if (results.empty() || !std::all_of(results.begin(), results.end(), is_viewed)) return -1;
    const auto& arguments = schema_.arguments();
    auto found = std::find_if(arguments.begin(), arguments.end(), is_viewed);
    return found == arguments.end() ? -1 : static_cast<int>(found - arguments.begin());
  }

  Tensor lazy_source() {
    int i = source_index();
    if (i < 0 || !argument(i).isTensor()) return {};
    auto tensor = argument(i).toTensor();
    return is_tagged(tensor) && find(tensor) ? tensor : Tensor();
  }

  void run_lazily(const Tensor& source);
  bool copy_offloaded(const Tensor& source, const Stack& arguments);
  void run_on_values();
  bool tag_results(const Tensor& source, const Stack& arguments);
  Replay replay_of(const Stack& arguments, int result) const;

  void resolve_arguments(int except);
  void resolve(IValue& value);
  Tensor read(const Tensor& tensor) const;
  bool reads_base(const Tensor& tensor) const;

  void prepare_writes();
  Tensor prepare_write(const Tensor& tensor);
  bool saves_for_backward() const;

  const c10::OperatorHandle& op_;
  Stack& stack_;
  const c10::FunctionSchema& schema_;
  const std::string& name_;
  const OperatorTraits traits_;
  const size_t first_;
  bool writes_ = false;                               // a tagged tensor is among the written
  std::vector<std::pair<Tensor, Tensor>> stand_ins_;  // written in the place of another
};

// data() of a parameter, and a parameter that has a gradient to apply, are what optimisers compute
// with outside of autograd.
bool is_optimisers(const Tensor& tensor) {
  if (at::GradMode::is_enabled()) return false;
  const Tensor& whole = whole_of(tensor);
  auto* state = find(whole);
  if (!state) return false;
  if (state->is_shallow && state->origin != whole.unsafeGetTensorImpl()) return true;
  return whole.is_leaf() && whole.requires_grad() && whole.grad().defined();
}

bool Call::reads_base(const Tensor& tensor) const {
  switch (traits_.use) {
    case Use::kMetadata:
    case Use::kBookkeeping:
    case Use::kIdentity:
      return true;
    case Use::kArithmetic:
      return is_optimisers(tensor);
    default:
      return false;
  }
}

Tensor Call::read(const Tensor& tensor) const {
  return reads_base(tensor) ? plain(tensor) : seen(tensor, traits_.kind, name_);
}

void Call::resolve(IValue& value) {
  if (value.isTensor()) {
    if (is_tagged(value.toTensor())) value = read(value.toTensor());
  } else if (value.isTensorList()) {
    auto list = value.toTensorVector();
    if (std::none_of(list.begin(), list.end(), is_tagged)) return;
    for (auto& tensor : list) {
      if (is_tagged(tensor)) tensor = read(tensor);
    }
    value = std::move(list);
  } else if (value.isList()) {  // of optional tensors, as in index
    auto list = value.toList();
    auto is_tagged_element = [](const IValue& v) {
      return v.isTensor() && is_tagged(v.toTensor());
    };
    if (std::none_of(list.begin(), list.end(), is_tagged_element)) return;
    list = list.copy();
    for (size_t i = 0; i < list.size(); ++i) {
      if (IValue v = list.get(i); is_tagged_element(v)) list.set(i, read(v.toTensor()));
    }
    value = std::move(list);
  }
}

void Call::resolve_arguments(int except) {
  for (size_t i = 0; i < count(); ++i) {
    if (static_cast<int>(i) != except && !is_written(schema_.arguments()[i])) resolve(argument(i));
  }
}

// Autograd may keep what it writes to; a tag must not come back in backward.
bool Call::saves_for_backward() const {
  if (!at::GradMode::is_enabled() || traits_.use == Use::kIdentity) return false;
  return std::any_of(stack_.begin() + first_, stack_.end(), [](const IValue& value) {
    return value.isTensor() && value.toTensor().requires_grad();
  });
}

Tensor Call::prepare_write(const Tensor& tensor) {
  auto* state = find(tensor);
  if (!state) return tensor;
  if (traits_.use == Use::kReshapeInPlace) {
    throw UnsupportedError(
        name_ +
        ": the shape of an adapted weight is changed in place: expected a tensor "
        "without adapters, got one with. Use the operator that returns a view.");
  }
  if (traits_.use == Use::kIdentity) {
    writes_ = true;
    return tensor;
  }
  settle_copy(tensor);
  if (!is_tagged(tensor)) return tensor;
  if (is_offloaded(tensor)) {
    throw UnsupportedError(name_ +
                           ": an offloaded weight is written to: expected one that has its values "
                           "in memory, got one that keeps them elsewhere. Call peft::bring_back "
                           "first, or peft::write_base.");
  }
  if (auto* entry = live_entry(whole_of(tensor), traits_.kind, name_);
      entry && entry->replacement && entry->replacement->is_buffer()) {
    return seen(tensor, traits_.kind, name_);
  }
  if (saves_for_backward()) {
    BelowTags below;
    auto alias = at::alias(tensor);
    strip(alias);
    return alias;
  }
  writes_ = true;
  return tensor;
}

void Call::prepare_writes() {
  for (size_t i = 0; i < count(); ++i) {
    if (!is_written(schema_.arguments()[i])) continue;
    IValue& value = argument(i);
    if (value.isTensor() && is_tagged(value.toTensor())) {
      auto original = value.toTensor();
      auto target = prepare_write(original);
      if (!target.is_same(original)) stand_ins_.emplace_back(target, original);
      value = target;
    } else if (value.isTensorList()) {
      auto list = value.toTensorVector();
      if (std::none_of(list.begin(), list.end(), is_tagged)) continue;
      for (auto& tensor : list) {
        if (is_tagged(tensor)) tensor = prepare_write(tensor);
      }
      value = std::move(list);
    }
  }
}

void Call::run_on_values() {
  prepare_writes();
  resolve_arguments(-1);
  if (writes_) {
    BelowTags below;
    op_.callBoxed(&stack_);
  } else {
    // No tag is left among the arguments, so no guard is needed: a tag that an operator finds on
    // its own is served as everywhere.
    op_.callBoxed(&stack_);
  }
  for (const auto& [stand_in, original] : stand_ins_) {
    for (size_t i = first_; i < stack_.size(); ++i) {
      if (stack_[i].isTensor() && stack_[i].toTensor().is_same(stand_in)) stack_[i] = original;
    }
  }
}

Replay Call::replay_of(const Stack& arguments, int result) const {
  int source = source_index();
  auto rest = arguments;
  int64_t shift = 0;
  if (name_ == "aten::as_strided" && rest[3].isInt()) {
    // An offset counts from the start of the storage: kept as the distance from the source's.
    shift = rest[3].toInt() - rest[source].toTensor().storage_offset();
  }
  rest[source] = IValue();
  return [op = op_, rest = std::move(rest), source, result, shift](const Tensor& weight) {
    auto stack = rest;
    stack[source] = weight;
    if (op.schema().name() == "aten::as_strided" && stack[3].isInt()) {
      stack[3] = weight.storage_offset() + shift;
    }
    op.callBoxed(&stack);
    return result < 0 ? stack[0].toTensor() : stack[0].toTensorVector()[result];
  };
}

// False where a result holds values that only the operator itself can make of the adapted weight.
bool Call::tag_results(const Tensor& source, const Stack& arguments) {
  bool is_copy = is_copy_operator(name_);
  auto tag_one = [&](const Tensor& out, int result) {
    if (!out.defined() || out.is_same(source)) return true;
    bool shares =
        !is_copy && (!out.has_storage() || !source.has_storage() || out.is_alias_of(source));
    if (shares) {
      tag_view(out, source, replay_of(arguments, result));
      return true;
    }
    if (out.sizes() != source.sizes() || out.layout() != source.layout() ||
        !copies_keep_tag(source, out.scalar_type())) {
      return false;
    }
    tag_copy(out, source);
    return true;
  };
  if (stack_.size() - first_ != 1) return false;
  IValue& result = stack_.back();
  if (result.isTensor()) return tag_one(result.toTensor(), -1);
  if (!result.isTensorList()) return false;
  int k = 0;
  for (const auto& out : result.toTensorVector()) {
    if (!tag_one(out, k++)) return false;
  }
  return true;
}

// True where the result is a copy of an offloaded weight's values, tagged as the weight is, or the
// weight itself.
bool Call::copy_offloaded(const Tensor& source, const Stack& arguments) {
  const int i = source_index();
  const Tensor value = plain(source);
  argument(i) = value;
  op_.callBoxed(&stack_);
  if (stack_.size() - first_ == 1 && stack_.back().isTensor()) {
    const Tensor out = stack_.back().toTensor();
    if (out.is_same(value)) {
      stack_.back() = source;
      return true;
    }
    if (!out.is_alias_of(value) && out.sizes() == source.sizes() &&
        out.layout() == source.layout() && copies_keep_tag(source, out.scalar_type())) {
      tag_copy(out, source);
      return true;
    }
  }
  stack_.resize(first_);
  stack_.insert(stack_.end(), arguments.begin(), arguments.end());
  return false;
}

void Call::run_lazily(const Tensor& source) {
  int i = source_index();
  resolve_arguments(i);
  Stack arguments(stack_.begin() + first_, stack_.end());
  bool is_eager = is_copy_operator(name_) && find(source)->form == Form::kView;
  if (is_offloaded(source) && may_copy(name_)) {
    if (!is_eager && copy_offloaded(source, arguments)) return;
    is_eager = true;
  }
  if (!is_eager) {
    {
      BelowTags below;
      op_.callBoxed(&stack_);
    }
    if (tag_results(source, arguments)) return;
    stack_.resize(first_);
    stack_.insert(stack_.end(), arguments.begin(), arguments.end());
  }
  argument(i) = read(source);
  op_.callBoxed(&stack_);
}

}  // namespace

void fallback(const c10::OperatorHandle& op, c10::DispatchKeySet, torch::jit::Stack* stack) {
  Call(op, stack).run();
}

}  // namespace peft::dispatch
