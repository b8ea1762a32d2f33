#pragma once

#include <string>
#include <vector>

#include "peft/base/json.h"
#include "tests/cli/run_program.h"

namespace peft::cli {

/// A folder with a BERT of 40 positions whose tokens are letters.
std::filesystem::path tiny_reader();

/// The program on tiny_reader().
ProgramRun run_on_reader(const std::string& command, const std::string& flags);

/// A file of rows in scratch().
std::filesystem::path rows_file(const std::string& name, const std::vector<Json>& rows);

/// Trains tiny_reader(), by LoRA unless `more` says otherwise.
///   -> the adapter's folder
std::filesystem::path trained_reader(const std::string& task, const std::filesystem::path& rows,
                                     const std::string& more = "--lora_target_modules all-linear",
                                     int steps = 60);

/// The lines of a text, without what comes behind the last line end.
std::vector<std::string> lines_of(const std::string& text);

/// Expects an exit code, and words in what the program told.
void expect_told(const ProgramRun& done, int code, const std::string& words);

}  // namespace peft::cli
