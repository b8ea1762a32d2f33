#pragma once

#include "peft/tokenizers/processors/processor.h"

namespace peft::tokenizers {

using ProcessorPtr = std::unique_ptr<const Processor>;

ProcessorPtr make_template_processing(const JsonView& json);
ProcessorPtr make_bert_processing(const JsonView& json);
/// As Bert, with two separators between texts, and offsets mended as ByteLevel does.
ProcessorPtr make_roberta_processing(const JsonView& json, const TokenNames& names);
ProcessorPtr make_byte_level_processor(const JsonView& json, const TokenNames& names);

/// Takes the white space that tokens carry out of their offsets.
void trim_offsets(Encoding& encoding, bool add_prefix_space, const TokenNames& names);

}  // namespace peft::tokenizers
