#include "peft/tensor/device.h"

#include <ATen/Context.h>
#include <ATen/ops/empty.h>

#include "peft/base/error.h"

namespace peft {

std::optional<at::Device> find_device(const std::string& word) {
  try {
    return at::Device(word);
  } catch (const c10::Error&) {
    return std::nullopt;
  }
}

at::Device checked_device(at::Device device, const std::string& setting) {
  try {
    return at::empty({0}, at::TensorOptions(device)).device();
  } catch (const c10::Error& error) {
    // What else it says is a list of all that libtorch has.
    const std::string said = error.what_without_backtrace();
    throw ConfigError(setting + ": expected a device that is there, got " + device.str() + ": " +
                      said.substr(0, said.find(". ")) + ".");
  }
}

at::Device best_device() { return at::hasCUDA() ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU); }

}  // namespace peft
