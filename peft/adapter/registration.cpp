#include "peft/adapter/registration.h"

#include <torch/library.h>

#include <memory>
#include <mutex>

#include "peft/adapter/kernels.h"
#include "peft/base/error.h"
#include "peft/tensor/tag_key.h"

namespace peft {
namespace {

std::unique_ptr<torch::Library> open_library(const char* operators) {
  return std::make_unique<torch::Library>(torch::Library::IMPL, operators, kTagKey, __FILE__,
                                          __LINE__);
}

void register_all() {
  if (c10::Dispatcher::singleton().hasBackendFallbackForDispatchKey(kTagKey)) {
    throw UnsupportedError(
        "dispatcher: the key of tagged weights is taken: expected DispatchKey::DeferredInit to be "
        "free, got another library, or a second copy of this one, that has registered a fallback "
        "for it. Link one shared library of peft into the process.");
  }
  auto any = open_library("_");
  any->fallback(torch::CppFunction::makeFromBoxedFunction<&dispatch::fallback>());
  auto aten = open_library("aten");
  dispatch::register_product_kernels(*aten);
  dispatch::register_lookup_kernels(*aten);
  dispatch::register_convolution_kernels(*aten);
  dispatch::register_view_kernels(*aten);
  // Weights may be tagged until the process ends, so the registrations are never taken back. Only
  // now: an error above leaves the dispatcher as it was.
  any.release();
  aten.release();
}

}  // namespace

void register_dispatcher() {
  static std::once_flag once;
  std::call_once(once, register_all);
}

}  // namespace peft
