#pragma once

#include "peft/tokenizers/decoders/decoder.h"

// The decoders, each made from its object in tokenizer.json.
// Source: tokenizers src/decoders/
namespace peft::tokenizers {

using DecoderPtr = std::unique_ptr<const Decoder>;

DecoderPtr make_byte_level_decoder(const JsonView& json);
DecoderPtr make_byte_fallback(const JsonView& json);
DecoderPtr make_fuse(const JsonView& json);
DecoderPtr make_metaspace_decoder(const JsonView& json);
DecoderPtr make_replace_decoder(const JsonView& json);
DecoderPtr make_strip_decoder(const JsonView& json);
DecoderPtr make_bpe_decoder(const JsonView& json);
DecoderPtr make_word_piece_decoder(const JsonView& json);

}  // namespace peft::tokenizers
