#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "peft/hub/download.h"
#include "peft/hub/settings.h"

namespace peft::hub {

/// How a model or an adapter of the Hub is found.
struct ResolveOptions {
  std::string revision = {};   // empty: the reference's own, or main
  std::string subfolder = {};  // below the reference's own
  ProgressCallback progress = {};
  std::optional<Settings> settings = {};  // unset: the environment's
};

/// The local folder (or .gguf file) of a base model: a path that exists is returned as it is, else
/// `[hf://]NAMESPACE/NAME[@REVISION][/SUBFOLDER]` is brought into the cache, as many files as a
/// model is read from. What is neither is returned unchanged, for the reader's own error.
/// Throws: what snapshot_download does.
std::filesystem::path model_folder(const std::filesystem::path& name_or_path,
                                   const ResolveOptions& options = {});

/// A file of a model as the cache has it; nullopt where the name is no repository's, or the cache
/// does not know the revision or lacks the file. The network is not asked.
/// Source: try_to_load_from_cache in huggingface_hub/file_download.py.
std::optional<std::filesystem::path> cached_file(const std::filesystem::path& name,
                                                 const std::string& file, const Settings& settings);

/// The same for a model's tokenizer and config alone, without the weights.
std::filesystem::path tokenizer_folder(const std::filesystem::path& name_or_path,
                                       const ResolveOptions& options = {});

/// The same for an adapter: its config and its weights. `options.subfolder` is applied to local
/// folders too.
std::filesystem::path adapter_folder(const std::filesystem::path& name_or_path,
                                     const ResolveOptions& options = {});

}  // namespace peft::hub
