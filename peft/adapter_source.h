#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "peft/adapter/config.h"
#include "peft/base/json.h"
#include "peft/tensor/state_dict.h"

namespace peft {

/// Regular expressions with their replacements (the language of Python's re.sub) for the keys of a
/// file without the prefix "base_model.model."; the first that matches a key changes it.
using KeyMapping = std::vector<std::pair<std::string, std::string>>;

/// Where an adapter lies in its folder, and how it is read.
struct AdapterSource {
  std::string subfolder = {};
  std::string revision = {};  // of a repository of the Hub; empty: main
  KeyMapping key_mapping = {};
  /// Where the file's tensors are put before they go to the model; unset: the CPU.
  std::optional<at::Device> torch_device = {};
  /// Further arguments as in Python: parameters of hf_hub_download, and values for fields of the
  /// config that its file does not give.
  Json kwargs = Json::object();
};

/// The local folder that holds an adapter's files: the source's subfolder of a folder, or of a
/// repository of the Hub, which is brought into the cache. Of the parameters of hf_hub_download in
/// `kwargs`, revision, subfolder, cache_dir, token, use_auth_token, endpoint and local_files_only
/// count. Throws: ConfigError (one of another type); what hub::adapter_folder throws.
std::filesystem::path adapter_place(const std::filesystem::path& name_or_folder,
                                    const AdapterSource& source);

/// The config file in an adapter's place, with the fields that only `kwargs` give.
/// Throws: NotFoundError, FormatError, ConfigError (also for an argument that is no field).
PeftConfig read_adapter_config(const std::filesystem::path& place, const AdapterSource& source);

/// The tensors in an adapter's place under the keys that the mapping gives them.
/// Throws: NotFoundError, FormatError, ConfigError (the mapping; a device that is not there).
StateDict read_adapter_weights(const std::filesystem::path& place, const AdapterSource& source);

/// Throws: ConfigError where a key has no prefix, or two keys become one.
/// Source: load_peft_weights in peft/utils/save_and_load.py.
StateDict apply_key_mapping(const StateDict& tensors, const KeyMapping& mapping);

struct SplitKwargs {
  Json hub = Json::object();     // parameters of hf_hub_download, and use_auth_token
  Json others = Json::object();  // the rest, which sets fields of a config
};

/// Throws: ConfigError where `kwargs` is not an object. Source: PeftModel._split_kwargs.
SplitKwargs split_kwargs(const Json& kwargs);

}  // namespace peft
