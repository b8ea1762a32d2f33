#include "peft/hub/download.h"

#include <algorithm>
#include <exception>
#include <optional>

#include "peft/base/error.h"
#include "peft/base/file.h"
#include "peft/base/text.h"
#include "peft/base/warnings.h"
#include "peft/hub/blob.h"
#include "peft/hub/cache.h"
#include "peft/hub/file_lock.h"
#include "peft/hub/listing.h"
#include "peft/hub/reference.h"

namespace peft::hub {
namespace {

namespace fs = std::filesystem;

/// Counts over all files of a transfer.
class Counter {
 public:
  Counter(const ProgressCallback& report, size_t files, uint64_t bytes) : report_(report) {
    state_.file_count = files;
    state_.total = bytes;
  }

  void begin(const std::string& file, uint64_t size) {
    state_.file = file;
    state_.file_total = size;
    advance(0);
  }
  void advance(uint64_t file_done) {
    state_.file_done = file_done;
    state_.done = finished_ + file_done;
    if (report_) report_(state_);
  }
  void end() {
    advance(state_.file_total);
    finished_ += state_.file_total;
    ++state_.file_index;
  }

 private:
  const ProgressCallback& report_;
  Progress state_ = {};
  uint64_t finished_ = 0;
};

/// Brings one file into the cache and into the snapshot of its commit.
void bring_file(Client& client, const RepoCache& cache, const std::string& repo,
                const std::string& file, const FileFacts& facts, Counter& counter) {
  cache.prepare();
  const FileLock lock(cache.lock(facts.etag));
  const fs::path blob = cache.blob(facts.etag);
  std::error_code code;
  const uint64_t size = fs::file_size(blob, code);
  counter.begin(file, facts.size.value_or(0));
  if (code || (facts.size && size != *facts.size)) {
    download_blob(client, repo, file, facts, blob, [&](uint64_t done) { counter.advance(done); });
  }
  cache.link(facts.etag, facts.commit, file);
  counter.end();
}

/// What the listing of a commit says about a file whose blob is in the cache already, whole: the
/// Hub need not be asked. nullopt: it is not there.
std::optional<FileFacts> facts_of_known_blob(const RepoCache& cache, const RepoFile& file,
                                             const std::string& commit) {
  const bool large = !file.lfs_sha256.empty();
  const std::string& etag = large ? file.lfs_sha256 : file.blob_id;
  if (!is_hex(etag, large ? 64 : 40)) return std::nullopt;
  std::error_code code;
  if (fs::file_size(cache.blob(etag), code) != file.size || code) return std::nullopt;
  return FileFacts{.commit = commit, .etag = etag, .size = file.size};
}

std::vector<std::string> wanted_files(const Listing& listing, const DownloadOptions& options) {
  std::vector<std::string> files;
  for (const auto& [path, file] : listing) {
    if (options.patterns.admit(path)) files.push_back(path);
  }
  return options.select ? options.select(files) : files;
}

std::vector<std::string> missing_files(const RepoCache& cache, const std::string& commit,
                                       const Listing& listing, const DownloadOptions& options) {
  std::vector<std::string> missing = wanted_files(listing, options);
  std::erase_if(missing, [&](const std::string& path) {
    return cache.has(commit, path, listing.at(path).size);
  });
  return missing;
}

/// What to do without the Hub: `reason` says why it is not asked.
fs::path from_cache(const RepoCache& cache, const std::string& repo, const DownloadOptions& options,
                    const std::string& reason) {
  const auto commit = cache.commit_of(options.revision);
  std::error_code code;
  if (!commit || !fs::is_directory(cache.snapshot(*commit), code)) {
    throw NotFoundError("repository " + quote(repo) + ", revision " + quote(options.revision) +
                        ": it is not in the cache, and " + reason);
  }
  if (const auto listing = cache.listing(*commit)) {
    const auto missing = missing_files(cache, *commit, *listing, options);
    if (!missing.empty()) {
      throw NotFoundError("repository " + quote(repo) + ", revision " + quote(options.revision) +
                          ": the snapshot in the cache is not whole: expected also " +
                          join_names(missing) + ", and " + reason);
    }
  }
  return cache.snapshot(*commit);
}

constexpr const char* kOffline = "offline mode is on. Unset HF_HUB_OFFLINE.";

/// Runs `online`; where the Hub does not answer or refuses, what the cache has serves. Its own
/// error comes out where the cache has nothing.
template <typename Online, typename Cached>
fs::path online_or_cached(const Client& client, const DownloadOptions& options, Online&& online,
                          Cached&& cached) {
  if (client.settings().offline) return cached(kOffline);
  if (options.local_files_only) return cached("local_files_only asks nothing of the network.");
  const auto fall_back = [&](const Error& error) -> fs::path {
    fs::path found;
    try {
      found = cached("the Hub was not reached.");
    } catch (const NotFoundError&) {
      return {};
    }
    warn(std::string(error.what()) + " What the cache has is used: " + found.string());
    return found;
  };
  try {
    return online();
  } catch (const NetworkError& error) {
    if (const fs::path found = fall_back(error); !found.empty()) return found;
    throw;
  } catch (const AccessError& error) {
    if (const fs::path found = fall_back(error); !found.empty()) return found;
    throw;
  }
}

/// The files are there; a cache that nobody may write to is no reason to fail.
void remember(const RepoCache& cache, const std::string& revision, const std::string& commit) {
  try {
    cache.set_commit_of(revision, commit);
  } catch (const IoError& error) {
    warn(std::string(error.what()) + " The cache does not learn where " + quote(revision) +
         " is now.");
  }
}

fs::path download_snapshot(Client& client, const RepoCache& cache, const std::string& repo,
                           const DownloadOptions& options) {
  const std::string commit = is_commit(options.revision)
                                 ? options.revision
                                 : resolve_revision(client, repo, options.revision);
  std::optional<Listing> listing = cache.listing(commit);
  if (!listing) {
    listing = list_files(client, repo, commit);
    cache.prepare();
    cache.set_listing(commit, *listing);
  }
  const auto missing = missing_files(cache, commit, *listing, options);
  uint64_t bytes = 0;
  for (const std::string& path : missing) bytes += listing->at(path).size;
  Counter counter(options.progress, missing.size(), bytes);
  for (const std::string& path : missing) {
    auto facts = facts_of_known_blob(cache, listing->at(path), commit);
    if (!facts) facts = head_file(client, repo, path, commit);
    facts->commit = commit;  // what was asked for names the folder, whatever the answer says
    bring_file(client, cache, repo, path, *facts, counter);
  }
  ensure_folder(cache.snapshot(commit));
  remember(cache, options.revision, commit);
  return cache.snapshot(commit);
}

}  // namespace

fs::path snapshot_download(Client& client, const std::string& repo,
                           const DownloadOptions& options) {
  check_repo_id(repo);
  check_revision(options.revision);
  const RepoCache cache(client.settings(), repo);
  return online_or_cached(
      client, options, [&] { return download_snapshot(client, cache, repo, options); },
      [&](const char* reason) { return from_cache(cache, repo, options, reason); });
}

fs::path hf_hub_download(Client& client, const std::string& repo, const std::string& file,
                         const DownloadOptions& options) {
  check_repo_id(repo);
  check_revision(options.revision);
  check_file_path(file);
  const RepoCache cache(client.settings(), repo);
  const auto cached = [&](const char* reason) {
    const auto commit = cache.commit_of(options.revision);
    std::error_code code;
    if (commit && fs::exists(cache.file(*commit, file), code)) return cache.file(*commit, file);
    throw NotFoundError(quote(file) + " of " + quote(repo) + ", revision " +
                        quote(options.revision) + ": it is not in the cache, and " + reason);
  };
  std::error_code code;
  if (is_commit(options.revision) && fs::exists(cache.file(options.revision, file), code)) {
    return cache.file(options.revision, file);
  }
  const auto online = [&] {
    const FileFacts facts = head_file(client, repo, file, options.revision);
    const bool there = facts.size ? cache.has(facts.commit, file, *facts.size)
                                  : fs::exists(cache.file(facts.commit, file), code);
    if (!there) {
      Counter counter(options.progress, 1, facts.size.value_or(0));
      bring_file(client, cache, repo, file, facts, counter);
    }
    remember(cache, options.revision, facts.commit);
    return cache.file(facts.commit, file);
  };
  return online_or_cached(client, options, online, cached);
}

}  // namespace peft::hub
