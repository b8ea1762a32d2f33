#include "peft/hub/cache.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>

#include "peft/base/error.h"
#include "peft/base/file.h"
#include "peft/base/json_text.h"
#include "peft/base/text.h"
#include "peft/hub/reference.h"

namespace peft::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kTag =
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# A cache of the Hugging Face Hub: backups may leave this folder out.\n"
    "# See https://bford.info/cachedir/\n";

std::string folder_name(const std::string& repo) {
  std::string name = "models";
  for (const std::string& part : split(repo, '/')) name += "--" + part;
  return name;
}

/// A name of its own for this process beside `path`.
fs::path beside(const fs::path& path) {
  static std::atomic<unsigned> count{0};
  return path.parent_path() / ("." + path.filename().string() + ".tmp-" +
                               std::to_string(::getpid()) + "-" + std::to_string(count++));
}

RepoFile read_file(const Json& entry) {
  RepoFile file{.size = entry.at("size").get<uint64_t>(),
                .blob_id = entry.at("blob_id").get<std::string>()};
  if (entry.contains("lfs_sha256")) {
    file.lfs_sha256 = entry["lfs_sha256"].get<std::string>();
    file.size = entry.at("lfs_size").get<uint64_t>();
  }
  if (entry.contains("xet_hash")) file.xet_hash = entry["xet_hash"].get<std::string>();
  return file;
}

}  // namespace

void check_file_path(const std::string& path) {
  bool good = !path.empty() && path.size() < 4096 && is_valid_utf8(path);
  for (const std::string& part : split(path, '/')) {
    good = good && !part.empty() && part != "." && part != ".." && part.size() <= 255;
  }
  for (const char letter : path) {
    good = good && static_cast<unsigned char>(letter) >= ' ' && letter != '\\' && letter != 0x7f;
  }
  if (good) return;
  throw FormatError("the Hub names a file " + quote(path) +
                    ": expected a path inside the repository. Nothing was written.");
}

RepoCache::RepoCache(const Settings& settings, const std::string& repo)
    : root_(settings.cache),
      folder_(settings.cache / folder_name(repo)),
      locks_(settings.cache / ".locks" / folder_name(repo)),
      symlinks_(settings.symlinks) {}

std::optional<std::string> RepoCache::commit_of(const std::string& revision) const {
  if (is_commit(revision)) return revision;
  try {
    const std::string commit(trim(read_text_file(folder_ / "refs" / revision, 1 << 12)));
    if (is_commit(commit)) return commit;
  } catch (const NotFoundError&) {
  }
  return std::nullopt;
}

void RepoCache::set_commit_of(const std::string& revision, const std::string& commit) const {
  if (revision == commit || commit_of(revision) == commit) return;
  const fs::path path = folder_ / "refs" / revision;
  ensure_folder(path.parent_path());
  write_file_atomically(path, commit);
}

fs::path RepoCache::snapshot(const std::string& commit) const {
  return folder_ / "snapshots" / commit;
}

fs::path RepoCache::file(const std::string& commit, const std::string& path) const {
  return snapshot(commit) / path;
}

fs::path RepoCache::blob(const std::string& etag) const { return folder_ / "blobs" / etag; }

fs::path RepoCache::lock(const std::string& etag) const { return locks_ / (etag + ".lock"); }

bool RepoCache::has(const std::string& commit, const std::string& path, uint64_t size) const {
  std::error_code code;
  return fs::file_size(file(commit, path), code) == size && !code;
}

void RepoCache::prepare() const {
  ensure_folder(folder_ / "blobs");
  ensure_folder(folder_ / "snapshots");
  std::error_code code;
  if (!fs::exists(root_ / "CACHEDIR.TAG", code)) {
    write_file_atomically(root_ / "CACHEDIR.TAG", kTag);
  }
}

void RepoCache::link(const std::string& etag, const std::string& commit,
                     const std::string& path) const {
  const fs::path pointer = file(commit, path);
  ensure_folder(pointer.parent_path());
  const fs::path temporary = beside(pointer);
  std::error_code code;
  if (symlinks_) {
    fs::create_symlink(blob(etag).lexically_relative(pointer.parent_path()), temporary, code);
  }
  if (!symlinks_ || code) {  // a file system without links
    fs::copy_file(blob(etag), temporary, fs::copy_options::overwrite_existing, code);
  }
  if (!code) fs::rename(temporary, pointer, code);
  if (!code) return;
  std::error_code ignored;
  fs::remove(temporary, ignored);
  throw IoError(pointer.string() + ": putting the file into the snapshot failed: " +
                code.message() + ". Check the cache folder.");
}

std::optional<Listing> RepoCache::listing(const std::string& commit) const {
  try {
    const Json text = read_json_file(folder_ / "trees" / (commit + ".json"));
    if (text.at("format_version") != 1) return std::nullopt;  // a newer one: list again
    Listing listing;
    for (const auto& [path, entry] : text.at("files").items()) {
      check_file_path(path);
      listing.emplace(path, read_file(entry));
    }
    return listing;
  } catch (const Error&) {  // absent or damaged: the Hub is asked again
  } catch (const Json::exception&) {
  }
  return std::nullopt;
}

void RepoCache::set_listing(const std::string& commit, const Listing& listing) const {
  Json files = Json::object();
  for (const auto& [path, file] : listing) {
    Json entry = {{"size", file.size}, {"blob_id", file.blob_id}};
    if (!file.lfs_sha256.empty()) {
      entry["lfs_sha256"] = file.lfs_sha256;
      entry["lfs_size"] = file.size;
    }
    if (!file.xet_hash.empty()) entry["xet_hash"] = file.xet_hash;
    files[path] = std::move(entry);
  }
  ensure_folder(folder_ / "trees");
  write_file_atomically(
      folder_ / "trees" / (commit + ".json"),
      dump_json(Json{{"format_version", 1}, {"files", std::move(files)}}, {.indent = 1}));
}

}  // namespace peft::hub
