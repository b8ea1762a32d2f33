#pragma once

#include <string>

#include "tests/cli/run_program.h"

namespace peft::cli {

/// A folder with a T5 whose tokens are the words "one" to "ten".
std::filesystem::path tiny_writer();

/// The program on tiny_writer().
ProgramRun run_on_writer(const std::string& command, const std::string& flags);

/// Trains tiny_writer() on rows of texts and targets.  -> the adapter's folder
std::filesystem::path trained_writer(const std::filesystem::path& rows,
                                     const std::string& more = "--lora_target_modules all-linear");

}  // namespace peft::cli
