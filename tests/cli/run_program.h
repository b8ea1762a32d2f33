#pragma once

#include <filesystem>
#include <string>

namespace peft::cli {

/// What a run of the program gave.
struct ProgramRun {
  int code = 0;  // 128 + signal where one ended it
  std::string out = {}, talk = {};
};

/// Runs the program under test with a shell's command line behind its name. `before` comes first in
/// the same shell: limits, traps, or a program that starts it.
ProgramRun run_peft(const std::string& arguments, const std::string& before = "");

/// The arguments of a short training run of tiny_model() into scratch()/out.
std::string train_line(const std::string& out, const std::string& more);

/// A folder with a llama of 2 layers and 32 tokens, without a tokenizer; made once a process.
const std::filesystem::path& tiny_model();

/// The same model with a tokenizer, a token for each of a to z, blank, full stop and line end, and
/// a chat template; "<|end|>" (0) ends a turn.
const std::filesystem::path& tiny_talker();

/// A folder for the files of a test; everything in it is removed at the end of the process.
const std::filesystem::path& scratch();

/// Rows of token ids, `count` of them.
std::filesystem::path token_rows(const std::string& name, int count);

}  // namespace peft::cli
