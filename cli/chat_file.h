#pragma once

#include <filesystem>

#include "peft/train/text_encoder.h"

namespace peft::cli {

/// Reads a conversation: a JSON list of messages, or an object with "messages" and perhaps "tools".
/// Throws: NotFoundError; FormatError naming the file.
train::ChatRequest read_chat(const std::filesystem::path& file);

}  // namespace peft::cli
