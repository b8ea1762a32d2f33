#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "peft/base/json.h"
#include "peft/formats/safetensors_writer.h"
#include "peft/tensor/state_dict.h"

namespace peft::formats {

/// What besides the weights goes into a checkpoint folder; a null or absent part is not written.
struct CheckpointParts {
  Json config = {};
  Json generation_config = {};
  Json tokenizer_config = {};
  std::optional<std::string> tokenizer = {};      // text of tokenizer.json
  std::optional<std::string> chat_template = {};  // text of chat_template.jinja
  uint64_t max_shard_size = 50'000'000'000;       // bytes, as transformers 5
};

/// Writes a folder that transformers' from_pretrained loads: the weights first, config.json last,
/// each file atomically, so that a folder with a config.json is whole.
/// With `value_of` its answers are written in the weights' stead, one after the other.
/// Throws: IoError, NotFoundError (the folder above is missing), UnsupportedError (dtype).
void write_checkpoint(const std::filesystem::path& folder, const StateDict& weights,
                      const CheckpointParts& parts, const ValueOf& value_of = {});

}  // namespace peft::formats
