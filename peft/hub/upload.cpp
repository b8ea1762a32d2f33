#include "peft/hub/upload.h"

#include <stdlib.h>

#include <algorithm>
#include <vector>

#include "peft/base/error.h"
#include "peft/base/file.h"
#include "peft/base/json_text.h"
#include "peft/base/text.h"
#include "peft/hub/digest.h"
#include "peft/hub/lfs.h"
#include "peft/hub/reference.h"

namespace peft::hub {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBatch = 256;
constexpr uint64_t kSample = 512;  // bytes of a file that the Hub judges it by
constexpr uint64_t kLargestRegular = uint64_t{1} << 28;  // it travels in base64 in memory

std::string first_bytes(const fs::path& path, uint64_t size) {
  std::string text;
  read_pieces(path, 0, size, [&](std::string_view piece) { text += piece; });
  return text;
}

bool is_kept_out(const std::string& path) {
  const auto parts = split(path, '/');
  return std::any_of(parts.begin(), parts.end(),
                     [](const std::string& part) { return part == ".git" || part == ".cache"; });
}

std::vector<LocalFile> files_of(const fs::path& folder, const PushOptions& options) {
  if (!fs::is_directory(folder)) {
    throw NotFoundError(folder.string() + ": expected a folder to upload, got none.");
  }
  const std::string prefix = options.path_in_repo.empty() ? "" : options.path_in_repo + "/";
  std::vector<LocalFile> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    const std::string path = entry.path().lexically_relative(folder).generic_string();
    if (is_kept_out(path) || !options.patterns.admit(path)) continue;
    files.push_back(
        {.path = entry.path(), .path_in_repo = prefix + path, .size = entry.file_size()});
  }
  std::sort(files.begin(), files.end(),
            [](const LocalFile& a, const LocalFile& b) { return a.path_in_repo < b.path_in_repo; });
  if (files.empty()) {
    throw ConfigError(folder.string() + ": expected files to upload, got none.");
  }
  return files;
}

/// The folder's .gitignore, which the Hub applies to what it is sent.
std::optional<std::string> ignore_rules(const std::vector<LocalFile>& files) {
  for (const LocalFile& file : files) {
    if (file.path_in_repo == ".gitignore") return read_text_file(file.path, 1 << 20);
  }
  return std::nullopt;
}

/// Asks which files are large and which are to be left out.
void ask_modes(Client& client, const std::string& path, std::vector<LocalFile>& files) {
  const auto rules = ignore_rules(files);
  std::vector<LocalFile> kept;
  for (size_t begin = 0; begin < files.size(); begin += kBatch) {
    const size_t end = std::min(files.size(), begin + kBatch);
    Json list = Json::array();
    for (size_t i = begin; i < end; ++i) {
      list.push_back({{"path", files[i].path_in_repo},
                      {"sample", base64(first_bytes(files[i].path, kSample))},
                      {"size", files[i].size}});
    }
    Json body = {{"files", std::move(list)}};
    if (rules) body["gitIgnore"] = *rules;
    const Json answer = client.post_json(path, body, "upload");
    for (size_t i = begin; i < end; ++i) {
      try {
        const Json& modes = answer.at("files");
        const auto mode = std::find_if(modes.begin(), modes.end(), [&](const Json& one) {
          return one.at("path") == files[i].path_in_repo;
        });
        if (mode == modes.end()) throw FormatError("");
        // An empty file cannot be an object of the storage.
        files[i].is_large = mode->at("uploadMode") == "lfs" && files[i].size > 0;
        if (!mode->value("shouldIgnore", false)) kept.push_back(files[i]);
      } catch (const std::exception&) {
        throw FormatError(client.url(path) + ": expected an uploadMode for " +
                          quote(files[i].path_in_repo) + ", got none. Check HF_ENDPOINT.");
      }
    }
  }
  files = std::move(kept);
}

std::string line_of(const char* key, Json value) {
  return dump_json(Json{{"key", key}, {"value", std::move(value)}}, {.indent = {}}) + "\n";
}

/// The commit as lines of JSON.
std::string commit_text(const std::vector<LocalFile>& files, const PushOptions& options) {
  std::string text = line_of(
      "header", {{"summary", options.commit_message}, {"description", options.commit_description}});
  for (const LocalFile& file : files) {
    if (file.is_large) {
      text += line_of("lfsFile", {{"path", file.path_in_repo},
                                  {"algo", "sha256"},
                                  {"oid", file.sha256},
                                  {"size", file.size}});
      continue;
    }
    if (file.size > kLargestRegular) {
      throw FormatError(quote(file.path_in_repo) + ": the Hub takes " + human_bytes(file.size) +
                        " for a small file: expected at most " + human_bytes(kLargestRegular) +
                        ".");
    }
    text += line_of("file", {{"content", base64(first_bytes(file.path, file.size))},
                             {"path", file.path_in_repo},
                             {"encoding", "base64"}});
  }
  return text;
}

void create_branch(Client& client, const std::string& repo, const std::string& branch) {
  const std::string url = client.url("/api/models/" + repo + "/branch/" + percent_encoded(branch));
  const HttpResponse response = client.request({.method = "POST",
                                                .url = url,
                                                .headers = {{"Content-Type", "application/json"}},
                                                .body = "{}"});
  if (response.status == 409) return;  // it is there
  check_status(response, url, "branch " + quote(branch) + " of " + quote(repo));
}

Commit send_commit(Client& client, const std::string& repo, const std::string& revision,
                   std::string text, bool create_pr) {
  const std::string url =
      client.url("/api/models/" + repo + "/commit/" + revision + (create_pr ? "?create_pr=1" : ""));
  const HttpResponse response =
      client.request({.method = "POST",
                      .url = url,
                      .headers = {{"Content-Type", "application/x-ndjson"}},
                      .body = std::move(text),
                      .stall_timeout = 60},
                     {.unsafe = true});
  check_status(response, url, "commit to " + quote(repo));
  const Json answer = parse_json(response.body, shown_url(url), {.max_depth = 32});
  try {
    Commit commit{.url = answer.at("commitUrl").get<std::string>(),
                  .oid = answer.at("commitOid").get<std::string>()};
    if (create_pr) commit.pull_request_url = answer.at("pullRequestUrl").get<std::string>();
    return commit;
  } catch (const Json::exception&) {
    throw FormatError(shown_url(url) +
                      ": expected the commit's address, got another answer. Look at the "
                      "repository: the files may be there.");
  }
}

void require_token(const Client& client) {
  if (!client.settings().token.empty()) return;
  throw ConfigError(
      "uploading needs a token: expected HF_TOKEN or a token file, got none. `peft login` writes "
      "one.");
}

/// Hashes and sends the large files, with progress over the bytes of all of them.
void send_large_files(Client& client, const std::string& repo, const std::string& revision,
                      std::vector<LocalFile>& files, const ProgressCallback& report) {
  Progress state;
  for (LocalFile& file : files) {
    if (!file.is_large) continue;
    file.sha256 = sha256_of_file(file.path);
    state.total += file.size;
    ++state.file_count;
  }
  uint64_t finished = 0;
  upload_large_files(client, repo, revision, files, [&](const LocalFile& file, uint64_t bytes) {
    if (!report) return;
    if (state.file != file.path_in_repo && !state.file.empty()) {
      finished += state.file_total;
      ++state.file_index;
    }
    state.file = file.path_in_repo;
    state.file_total = file.size;
    state.file_done = bytes;
    state.done = finished + bytes;
    report(state);
  });
}

}  // namespace

void create_repo(Client& client, const std::string& repo, std::optional<bool> is_private) {
  check_repo_id(repo);
  require_token(client);
  const size_t slash = repo.find('/');
  Json body = {{"name", repo.substr(slash == repo.npos ? 0 : slash + 1)},
               {"organization", slash == repo.npos ? Json() : Json(repo.substr(0, slash))},
               {"type", "model"}};
  if (is_private) body["visibility"] = *is_private ? "private" : "public";
  const std::string url = client.url("/api/repos/create");
  const HttpResponse response = client.request({.method = "POST",
                                                .url = url,
                                                .headers = {{"Content-Type", "application/json"}},
                                                .body = dump_json(body, {.indent = {}})});
  if (response.status == 409) return;
  if (response.status == 401 || response.status == 403) {
    // Who may not make repositories may still write to one that is there.
    const std::string info = client.url("/api/models/" + repo);
    if (client.request({.url = info}).status == 200) return;
  }
  check_status(response, url, "repository " + quote(repo));
}

Commit push_folder(Client& client, const fs::path& folder, const std::string& repo,
                   const PushOptions& options) {
  check_repo_id(repo);
  const std::string revision = options.revision.empty() ? "main" : options.revision;
  check_revision(revision);
  require_token(client);
  std::vector<LocalFile> files = files_of(folder, options);
  create_repo(client, repo, options.is_private);
  const bool is_pull_request = revision.rfind("refs/", 0) == 0;
  if (revision != "main" && !is_pull_request) create_branch(client, repo, revision);
  const std::string encoded = percent_encoded(revision);
  ask_modes(
      client,
      "/api/models/" + repo + "/preupload/" + encoded + (options.create_pr ? "?create_pr=1" : ""),
      files);
  // A pull request may come from somebody who may not write to the branch.
  send_large_files(client, repo, options.create_pr ? "" : revision, files, options.progress);
  return send_commit(client, repo, encoded, commit_text(files, options), options.create_pr);
}

Commit push_saved(Client& client, const std::string& repo, const PushOptions& options,
                  const std::function<void(const fs::path&)>& save) {
  check_repo_id(repo);
  require_token(client);  // before the work of saving
  std::string name = (fs::temp_directory_path() / "peft-push-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) {
    throw IoError(name + ": making a temporary folder failed. Set TMPDIR to a folder with room.");
  }
  const struct Remover {
    fs::path folder;
    ~Remover() {
      std::error_code ignored;
      fs::remove_all(folder, ignored);
    }
  } remover{name};
  save(remover.folder);
  return push_folder(client, remover.folder, repo, options);
}

}  // namespace peft::hub
