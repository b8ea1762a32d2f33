#pragma once

#include <c10/core/Device.h>

#include <optional>
#include <string>

namespace peft {

/// "cuda:1" -> that device; nullopt for words that no device stands for.
std::optional<at::Device> find_device(const std::string& word);

/// The device with its number, where it is there and libtorch serves it; `setting` is what asks for
/// it, for the message.  Throws: ConfigError.
at::Device checked_device(at::Device device, const std::string& setting);

/// The first GPU where there is one that libtorch serves, else the CPU.
at::Device best_device();

}  // namespace peft
