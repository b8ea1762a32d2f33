#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "peft/hub/client.h"

namespace peft::hub {

/// A file of this disk that is to be in the repository.
struct LocalFile {
  std::filesystem::path path = {};
  std::string path_in_repo = {};
  uint64_t size = 0;
  bool is_large = false;
  std::string sha256 = {};  // of large files
};

/// Brings large files to the storage that the Hub names for each; those that it has are skipped.
/// `sent` learns how many bytes of a file went out.
/// Throws: AccessError, NetworkError, FormatError (an answer that is none), IoError.
/// Source: huggingface_hub/lfs.py; git-lfs' batch API.
void upload_large_files(Client& client, const std::string& repo, const std::string& revision,
                        const std::vector<LocalFile>& files,
                        const std::function<void(const LocalFile&, uint64_t)>& sent);

}  // namespace peft::hub
