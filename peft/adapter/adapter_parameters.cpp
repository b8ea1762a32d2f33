#include "peft/adapter/adapter_parameters.h"

#include <c10/core/TensorImpl.h>

#include <mutex>
#include <unordered_map>

#include "peft/adapter/tag.h"

namespace peft {
namespace {

using WeakTensor = c10::weak_intrusive_ptr<c10::TensorImpl>;

/// The marked tensors. A weak pointer keeps the address from being used again, so an entry can
/// neither keep a tensor's data alive nor be mistaken for another tensor.
class Marks {
 public:
  void add(const at::Tensor& tensor) {
    std::lock_guard lock(mutex_);
    if (marks_.size() >= next_sweep_) {
      std::erase_if(marks_, [](const auto& mark) { return mark.second.expired(); });
      next_sweep_ = 2 * marks_.size() + 64;
    }
    marks_.try_emplace(tensor.unsafeGetTensorImpl(), tensor.getIntrusivePtr());
  }
  bool has(const at::Tensor& tensor) {
    std::lock_guard lock(mutex_);
    return marks_.contains(tensor.unsafeGetTensorImpl());
  }

 private:
  std::mutex mutex_;
  std::unordered_map<const c10::TensorImpl*, WeakTensor> marks_;
  size_t next_sweep_ = 64;
};

// Leaked: tensors of static storage may be marked or asked for while the process ends.
Marks& marks() {
  static auto* made = new Marks;
  return *made;
}

}  // namespace

void mark_as_adapter_parameter(const at::Tensor& parameter) {
  if (parameter.defined()) marks().add(parameter);
}

bool is_adapter_parameter(const at::Tensor& parameter) {
  return parameter.defined() && marks().has(parameter);
}

}  // namespace peft
