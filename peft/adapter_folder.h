#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "peft/adapter/tuner.h"
#include "peft/tensor/state_dict.h"

namespace peft {

/// The tensors of `adapter_model.safetensors` in an adapter's folder; they may share the mapped
/// file. Throws: NotFoundError, FormatError. Source: load_peft_weights in
/// peft/utils/save_and_load.py.
StateDict read_adapter_weights(const std::filesystem::path& folder);

struct AdapterFolderOptions {
  std::vector<std::string> adapters = {};  // empty: all
  SaveEmbeddingLayers save_embedding_layers = SaveEmbeddingLayers::kAuto;
  bool is_main_process = true;  // false: only the folders are made
};

/// Writes adapters as PeftModel.save_pretrained of Python does: each file appears under its name
/// only when it is whole, the weights before the config. Throws: NotFoundError (adapter),
/// ConfigError (the path is a file), FormatError (a model card that cannot be read), IoError.
void write_adapter_folder(const Tuner& tuner, const std::filesystem::path& folder,
                          const AdapterFolderOptions& options = {});

/// What decides on embeddings in a file: whether the vocabulary is another than that of the base
/// model that the adapter names. Source: get_peft_model_state_dict in peft/utils/save_and_load.py.
StateOptions state_options(const Tuner& tuner, const std::string& adapter,
                           SaveEmbeddingLayers embeddings);

}  // namespace peft
