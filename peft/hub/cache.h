#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "peft/hub/settings.h"

namespace peft::hub {

/// One file of a commit, as the Hub lists it.
struct RepoFile {
  uint64_t size = 0;            // bytes
  std::string blob_id = {};     // git's SHA-1
  std::string lfs_sha256 = {};  // of the content; empty: kept in git itself
  std::string xet_hash = {};    // empty: not in that storage
  /// The name of its blob in the cache.
  const std::string& etag() const { return lfs_sha256.empty() ? blob_id : lfs_sha256; }
};

/// Path in the repository -> file, of one commit.
using Listing = std::map<std::string, RepoFile>;

/// Throws: FormatError where a repository's path would leave its folder or is no plain name.
void check_file_path(const std::string& path);

/// The part of the standard cache that one model repository has: `models--org--name` with refs/,
/// blobs/, snapshots/ and trees/. Python's huggingface_hub reads and writes the same files.
///
/// Source: huggingface_hub/file_download.py and _tree_cache.py; docs/formats/hub_cache.md.
class RepoCache {
 public:
  RepoCache(const Settings& settings, const std::string& repo);

  /// The commit that a branch or tag was at when it was last asked for; nullopt: never.
  std::optional<std::string> commit_of(const std::string& revision) const;
  /// Throws: IoError.
  void set_commit_of(const std::string& revision, const std::string& commit) const;

  std::filesystem::path snapshot(const std::string& commit) const;
  std::filesystem::path file(const std::string& commit, const std::string& path) const;
  std::filesystem::path blob(const std::string& etag) const;
  std::filesystem::path lock(const std::string& etag) const;

  /// True where the file is there with all its bytes.
  bool has(const std::string& commit, const std::string& path, uint64_t size) const;

  /// Makes the folders that a download writes to.  Throws: IoError.
  void prepare() const;
  /// Puts a whole blob into a snapshot: a relative link, or a copy where links are off or not
  /// possible.  Throws: IoError.
  void link(const std::string& etag, const std::string& commit, const std::string& path) const;

  /// nullopt where the commit was never listed or the file is damaged.
  std::optional<Listing> listing(const std::string& commit) const;
  /// Throws: IoError.
  void set_listing(const std::string& commit, const Listing& listing) const;

 private:
  std::filesystem::path root_, folder_, locks_;
  bool symlinks_;
};

}  // namespace peft::hub
