#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "peft/base/json.h"
#include "peft/base/terminal.h"

namespace peft::cli {

/// What a file or folder is.
struct Facts {
  struct Module {
    std::string name = {};
    std::vector<int64_t> shape = {};  // of its weight
  };

  std::filesystem::path path = {};
  std::string kind = {};   // "checkpoint", "gguf", "safetensors", "adapter"
  Json config = {};        // config.json or adapter_config.json; null: none
  uint64_t bytes = 0;      // of the tensors in the file
  int64_t parameters = 0;  // numbers in the tensors; tied ones counted once
  size_t tensors = 0;
  std::map<std::string, int64_t> dtypes = {};  // the file's word -> numbers
  std::vector<Module> modules = {};            // linear layers; of an adapter those that it is on
};

/// Reads the headers alone, no weights.
/// Throws: NotFoundError, FormatError.
Facts facts_of(const std::filesystem::path& path);

Json to_json(const Facts& facts);

/// The facts for people.
std::string describe(const Facts& facts, const Terminal& terminal);

}  // namespace peft::cli
