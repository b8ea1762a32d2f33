#pragma once

#include <filesystem>
#include <string>
#include <variant>

#include "peft/methods/lora/config.h"
#include "peft/peft_model.h"
#include "peft/tensor/state_dict.h"

namespace peft {

/// The rank of a conversion: a number of 1 or more, or the share of the squared singular values, in
/// (0, 1], that the rank of each layer has to reach.
using ConversionRank = std::variant<int64_t, double>;

/// A LoRA adapter as its file holds it.
struct LoraConversion {
  LoraConfig config;
  StateDict tensors;  // "base_model.model.<module>.lora_A.weight", copies of modules_to_save
};

/// True where every layer of an adapter can be converted.  Throws: NotFoundError (adapter).
/// Source: PeftModel.supports_lora_conversion.
bool supports_lora_conversion(const PeftModel& model, const std::string& adapter_name = "default");

/// The LoRA adapter that comes closest to an adapter of any method that changes weights: the best
/// approximation of each layer's change by a product of that rank. The scaling is in the factors
/// (r = lora_alpha). The model is left as it is.
///
/// Throws: ConfigError (rank out of range or larger than a layer, biases that were trained),
/// UnsupportedError (layers other than linear ones, a variant that cannot be converted),
/// NotFoundError (adapter).
/// Source: convert_to_lora in peft/tuners/lora/conversion.py.
LoraConversion convert_to_lora(const PeftModel& model, ConversionRank rank,
                               const std::string& adapter_name = "default",
                               const LayerProgress& progress = {});

/// Converts and writes `adapter_model.safetensors` and `adapter_config.json` into a folder.
/// Throws: what convert_to_lora throws, IoError.
/// Source: save_as_lora in peft/tuners/lora/conversion.py.
void save_as_lora(const PeftModel& model, const std::filesystem::path& folder, ConversionRank rank,
                  const std::string& adapter_name = "default", const LayerProgress& progress = {});

}  // namespace peft
