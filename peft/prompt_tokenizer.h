#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "peft/base/json.h"

namespace peft {

/// The tokens, special ones included, that a prompt begins with where prompt_tuning_init is TEXT.
/// `tokenizer`: a folder, a .gguf file or a repository of the Hub. `kwargs`: what Python hands to
/// AutoTokenizer.from_pretrained; null: nothing. revision, subfolder, token, cache_dir and
/// local_files_only say where it is found, add_prefix_space is a setting of byte-level tokenizers.
/// use_fast, padding_side, truncation_side, model_max_length and clean_up_tokenization_spaces
/// change no token, and trust_remote_code is not granted to a prompt's config, as in Python.
/// Throws: UnsupportedError that names any other argument; ConfigError for a value of a wrong type;
/// what Tokenizer::from_folder and the Hub throw.
/// Source: PromptEmbedding.__init__ in peft/tuners/prompt_tuning/model.py.
std::vector<int64_t> tokens_of_init_text(const std::string& tokenizer, const Json& kwargs,
                                         const std::string& text);

}  // namespace peft
