#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "peft/hub/client.h"
#include "peft/hub/patterns.h"
#include "peft/hub/transfer.h"

namespace peft::hub {

struct PushOptions {
  std::string revision = {};      // branch to commit to, made where absent; empty: main
  std::string path_in_repo = {};  // folder in the repository; empty: its root
  std::string commit_message = "Upload model";
  std::string commit_description = {};
  std::optional<bool> is_private = {};  // of a repository that is made; unset: the Hub's choice
  bool create_pr = false;               // true: open a pull request instead of changing the branch
  Patterns patterns = {};               // which files of the folder
  ProgressCallback progress = {};
};

struct Commit {
  std::string url = {};
  std::string oid = {};
  std::string pull_request_url = {};  // empty: there is none
};

/// Makes a model repository; one that is there stays as it is.
/// Throws: ConfigError, AccessError, NetworkError.
/// Source: HfApi.create_repo in huggingface_hub/hf_api.py.
void create_repo(Client& client, const std::string& repo,
                 std::optional<bool> is_private = std::nullopt);

/// Uploads the files of a folder in one commit: all of them or none become visible. Large files go
/// to the storage first; the Hub decides which are large. `.git` and `.cache` stay out.
/// Throws: ConfigError (no token, no files), NotFoundError (the folder), AccessError, NetworkError,
/// FormatError (an answer that is none), IoError.
/// Source: create_commit and upload_folder in huggingface_hub/hf_api.py, _commit_api.py, lfs.py.
Commit push_folder(Client& client, const std::filesystem::path& folder, const std::string& repo,
                   const PushOptions& options = {});

/// What `save` writes into a folder of its own, uploaded as push_folder does; the folder is gone
/// afterwards. Throws: what `save` and push_folder throw.
Commit push_saved(Client& client, const std::string& repo, const PushOptions& options,
                  const std::function<void(const std::filesystem::path& folder)>& save);

}  // namespace peft::hub
