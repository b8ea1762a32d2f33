#pragma once

#include "peft/tokenizers/processors/processor.h"

namespace peft::tokenizers {

using ProcessorPtr = std::unique_ptr<const Processor>;

ProcessorPtr make_template_processing(const JsonView& json);
/// Bert and Roberta: [CLS] ... [SEP]; `trims` where it mends offsets as ByteLevel does.
ProcessorPtr make_cls_sep(const JsonView& json, const TokenNames* trims);
ProcessorPtr make_byte_level_processor(const JsonView& json, const TokenNames& names);

/// Takes the white space that tokens carry out of their offsets.
void trim_offsets(Encoding& encoding, bool add_prefix_space, const TokenNames& names);

/// A special token at an end of the encoding.
struct SpecialToken {
  int64_t id = 0;
  int64_t type_id = 0;
};
void append(Encoding& encoding, SpecialToken token);

}  // namespace peft::tokenizers
