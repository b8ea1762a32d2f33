#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "peft/hub/client.h"
#include "peft/hub/patterns.h"
#include "peft/hub/transfer.h"

namespace peft::hub {

/// Picks the wanted ones of a commit's files.
using Selection = std::function<std::vector<std::string>(const std::vector<std::string>& files)>;

struct DownloadOptions {
  std::string revision = "main";  // branch, tag or commit
  Patterns patterns = {};         // which files; all unless said otherwise
  Selection select = {};          // of those, these; empty: all
  bool local_files_only = false;  // as when offline
  ProgressCallback progress = {};
};

/// Brings a repository's files into the cache and returns the folder of the snapshot. What is there
/// is not fetched again, nor asked for: a missing file costs one HEAD and one GET. What was cut off
/// goes on where it stopped, and every file is checked against its hash before it gets its name;
/// processes wait for each other on a file. Where the Hub cannot be reached, a snapshot that is
/// whole serves, with a warning. Throws: ConfigError (names), NotFoundError, AccessError,
/// NetworkError, FormatError (wrong bytes), IoError (full disk). Source: snapshot_download in
/// huggingface_hub/_snapshot_download.py.
std::filesystem::path snapshot_download(Client& client, const std::string& repo,
                                        const DownloadOptions& options = {});

/// The same for one file; returns its path in the snapshot.
/// Source: hf_hub_download in huggingface_hub/file_download.py.
std::filesystem::path hf_hub_download(Client& client, const std::string& repo,
                                      const std::string& file, const DownloadOptions& options = {});

}  // namespace peft::hub
