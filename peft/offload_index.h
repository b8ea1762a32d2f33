#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "peft/peft_model.h"

namespace peft {

/// Where a weight lies that is kept on disk.
struct OffloadEntry {
  std::filesystem::path safetensors_file;
  std::string weight_name;  // the key in that file
};

/// Weights on disk by the names that the model has for them.
using OffloadIndex = std::map<std::string, OffloadEntry>;

/// Brings an index of the base model's weights to the names that they have with an adapter
/// ("base_model.model.", ".base_layer"), and writes the files that go with them: copies with the
/// new names and the adapter's tensors, in a folder whose name ends with "-peft" in place of the
/// one with "--" in the path. The files of the base stay as they are. An empty index stays empty.
///
/// Throws: ConfigError (no folder with "--"; not exactly one adapter; a name that is no module of
/// the model), NotFoundError, FormatError, IoError. Source: PeftModel._update_offload.
OffloadIndex update_offload(const PeftModel& model, const OffloadIndex& index,
                            const StateDict& adapter_weights);

}  // namespace peft
