#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "peft/adapter/tuner.h"
#include "peft/tensor/state_dict.h"

namespace peft {

/// The tensors of `adapter_model.safetensors` in an adapter's folder, or of `adapter_model.bin`
/// where there is no other; they may share the mapped file. Throws: NotFoundError, FormatError,
/// UnsupportedError (a pickle of other things than tensors). Source: load_peft_weights in
/// peft/utils/save_and_load.py.
StateDict read_adapter_weights(const std::filesystem::path& folder);

/// An adapter for the base as it was before the adapter took a part of it, from the trained adapter
/// and the folder with the values that it began with. Throws: UnsupportedError where the method has
/// no such thing; what read_adapter_weights and the method's conversion throw.
std::pair<PeftConfig, StateDict> converted_adapter(const PeftConfig& config,
                                                   const StateDict& trained,
                                                   const std::filesystem::path& initial);

/// Writes one adapter's two files, the weights before the config, and the folder where it is
/// missing. Throws: ConfigError (the path is a file), IoError.
void write_adapter(const std::filesystem::path& folder, const PeftConfig& config,
                   const StateDict& tensors, bool safe_serialization = true);

/// What save_pretrained writes, and how.
struct AdapterFolderOptions {
  std::vector<std::string> adapters = {};  // empty: all
  SaveEmbeddingLayers save_embedding_layers = SaveEmbeddingLayers::kAuto;
  bool is_main_process = true;     // false: only the folders are made
  bool safe_serialization = true;  // false: `adapter_model.bin`
  /// A folder with the adapter as it began: the files hold a plain adapter for the base before it.
  std::optional<std::filesystem::path> initial = {};
};

/// Writes adapters as PeftModel.save_pretrained of Python does: each file appears under its name
/// only when it is whole, the weights before the config. A file of the other serialization in the
/// same place is removed, since it would be loaded in its stead or stay behind with old numbers.
/// Throws: NotFoundError (adapter), ConfigError (the path is a file), FormatError (a model card
/// that cannot be read), IoError; what converted_adapter throws.
void write_adapter_folder(const Tuner& tuner, const std::filesystem::path& folder,
                          const AdapterFolderOptions& options = {});

/// The tensors of one adapter as a file of it holds them. Warns of what a file should not hold.
/// Source: get_peft_model_state_dict in peft/utils/save_and_load.py.
StateDict adapter_state(const Tuner& tuner, const std::string& adapter,
                        SaveEmbeddingLayers embeddings);

/// What decides on embeddings in a file: whether the vocabulary is another than that of the base
/// model that the adapter names. Source: get_peft_model_state_dict in peft/utils/save_and_load.py.
StateOptions state_options(const Tuner& tuner, const std::string& adapter,
                           SaveEmbeddingLayers embeddings);

}  // namespace peft
