#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "peft/methods/lora/intruders.h"
#include "peft/peft_model.h"

namespace peft {

/// While it lives the scalings of all LoRA adapters are multiplied by a number.
class [[nodiscard]] RescaledAdapters {
 public:
  /// Throws: ConfigError where the model has no LoRA layer.
  RescaledAdapters(std::shared_ptr<Tuner> tuner, double multiplier);
  RescaledAdapters(const RescaledAdapters&) = delete;
  RescaledAdapters& operator=(const RescaledAdapters&) = delete;
  ~RescaledAdapters();

 private:
  struct Former {
    std::shared_ptr<TunerLayer> layer;
    std::string adapter;
    double scaling;
  };
  std::vector<Former> former_;
};

/// Source: rescale_adapter_scale in peft/helpers.py.
RescaledAdapters rescale_adapter_scale(PeftModel& model, double multiplier);

/// Fills an adapter with that of a folder in place.
/// Throws: what reading a folder throws; see lora::hotswap_adapter.
/// Source: hotswap_adapter in peft/utils/hotswap.py.
void hotswap_adapter(PeftModel& model, const std::filesystem::path& folder,
                     const std::string& adapter_name = "default");

/// Gives all adapters one rank, so that a swap of smaller ones keeps every tensor's storage: what
/// captured graphs and optimisers that point at it need.
/// Throws: see lora::pad_adapters.
/// Source: prepare_model_for_compiled_hotswap in peft/utils/hotswap.py.
void prepare_model_for_compiled_hotswap(PeftModel& model, int64_t target_rank);

/// Adds and activates a copy of an adapter without its intruder dimensions.
/// Throws: see lora::reduce_intruder_dimension; UnsupportedError for other methods.
/// Source: reduce_intruder_dimension in peft/tuners/lora/intruders.py.
void reduce_intruder_dimension(PeftModel& model, const IntruderOptions& options = {});

}  // namespace peft
