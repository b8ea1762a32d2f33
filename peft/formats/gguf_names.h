#pragma once

#include <string>
#include <string_view>

#include "peft/base/json.h"
#include "peft/formats/gguf_header.h"

namespace peft::formats {

/// "blk.3.attn_q.weight" -> "model.layers.3.self_attn.q_proj.weight"; a name that stands for
/// nothing in the Llama-like families is returned as it is. Source: get_tensor_name_map in
/// gguf/tensor_mapping.py.
std::string transformers_name(std::string_view gguf_name);

/// True where the tensor is data about the model and no weight of it (rotary factors).
bool is_auxiliary(std::string_view gguf_name);

/// config.json as transformers makes it from the metadata, with rope_scaling and biases besides;
/// keys that the file does not tell are absent. An unknown architecture gives its model_type alone.
/// Source: GGUF_CONFIG_MAPPING in transformers/integrations/ggml.py, load_gguf_checkpoint.
Json config_from_gguf(const GgufHeader& header);

/// bos, eos and pad ids; the end of a turn is a second way to stop where the file names one.
Json generation_config_from_gguf(const GgufHeader& header);

/// tokenizer_config.json from the special tokens and the chat template.
Json tokenizer_config_from_gguf(const GgufHeader& header);

}  // namespace peft::formats
