#pragma once

#include <string>
#include <utility>
#include <vector>

#include "peft/adapter/config.h"
#include "peft/tensor/state_dict.h"

namespace peft::lora {

/// Warns where an adapter of EVA, whose values are all made later, has memory before.
/// Source: get_peft_model in peft/mapping_func.py.
void warn_of_new(const PeftConfig& config, bool low_cpu_mem_usage);

/// Warns where a base that an adapter has taken a part of (PiSSA, CorDA, OLoRA) has others too.
/// Source: PeftModel._check_new_adapter_config in peft/peft_model.py.
void warn_of_loaded(const PeftConfig& config,
                    const std::vector<std::pair<std::string, PeftConfig>>& others);

/// Warns of factors that are no matrices or empty, as shards of a model that was spread over
/// several processes are.
/// Source: peft/utils/save_and_load.py.
void warn_of_state(const std::string& adapter, const StateDict& state);

}  // namespace peft::lora
