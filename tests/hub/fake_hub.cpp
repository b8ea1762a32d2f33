#include "tests/hub/fake_hub.h"

#include <openssl/evp.h>

#include <algorithm>

#include "peft/base/json_text.h"
#include "peft/base/text.h"
#include "peft/hub/digest.h"

namespace peft::hub {
namespace {

std::string sha256(const std::string& text) {
  Digest digest(Digest::Kind::kSha256);
  digest.update(text);
  return digest.hex();
}

std::string git_sha1(const std::string& text) {
  Digest digest = Digest::of_git_blob(text.size());
  digest.update(text);
  return digest.hex();
}

std::string from_base64(const std::string& text) {
  std::string bytes(text.size() / 4 * 3, '\0');
  EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                  reinterpret_cast<const unsigned char*>(text.data()),
                  static_cast<int>(text.size()));
  for (size_t i = text.size(); i > 0 && text[i - 1] == '='; --i) bytes.pop_back();
  return bytes;
}

Reply json(const Json& value, int status = 200) {
  return {.status = status,
          .headers = {{"Content-Type", "application/json"}},
          .body = dump_json(value, {.indent = {}})};
}

Reply refused(int status, const std::string& code, const std::string& message) {
  Reply reply = json({{"error", message}}, status);
  if (!code.empty()) reply.headers["X-Error-Code"] = code;
  reply.headers["X-Error-Message"] = message;
  return reply;
}

/// "a/b/revision/main" -> "a/b", "revision", "main"; repositories have two parts.
struct Route {
  std::string repo = {}, verb = {}, rest = {};
};

Route route_of(const std::string& path) {
  const auto parts = split(path, '/');
  Route route;
  for (size_t i = 0; i < parts.size(); ++i) {
    std::string& target = i < 2 ? route.repo : i == 2 ? route.verb : route.rest;
    if (i != 0 && i != 2 && i != 3) target += "/";
    target += parts[i];
  }
  return route;
}

/// What a Range header asks for of a content.
void apply_range(const ServerRequest& request, Reply& reply) {
  const std::string range = request.header("range");
  if (range.empty() || reply.status != 200) return;
  const size_t from = std::stoul(range.substr(std::string("bytes=").size()));
  const std::string total = std::to_string(reply.body.size());
  if (from >= reply.body.size()) {
    reply = {.status = 416, .headers = {{"Content-Range", "bytes */" + total}}};
    return;
  }
  reply.headers["Content-Range"] =
      "bytes " + std::to_string(from) + "-" + std::to_string(reply.body.size() - 1) + "/" + total;
  reply.body.erase(0, from);
  reply.status = 206;
}

bool is_large(const std::string& path) {
  return path.ends_with(".safetensors") || path.ends_with(".bin") || path.ends_with(".gguf");
}

}  // namespace

FakeHub::FakeHub()
    : storage_server_([this](const ServerRequest& r) { return seen_and_faulted(r, true); }),
      hub_([this](const ServerRequest& r) { return seen_and_faulted(r, false); }) {}

std::string FakeHub::commit(const std::string& repo, const Files& files,
                            const std::string& branch) {
  const std::lock_guard lock(mutex_);
  for (const auto& [path, file] : files) {
    if (file.large) storage_[sha256(file.content)] = file.content;
  }
  return add_commit(repos_[repo], branch, files);
}

void FakeHub::make_private(const std::string& repo) { repos_.at(repo).is_private = true; }
void FakeHub::make_gated(const std::string& repo) { repos_.at(repo).is_gated = true; }

FakeHub::Files FakeHub::files(const std::string& repo, const std::string& branch) {
  const std::lock_guard lock(mutex_);
  const Repo& known = repos_.at(repo);
  return known.commits.at(known.branches.at(branch));
}

void FakeHub::set_fault(Fault fault) {
  const std::lock_guard lock(mutex_);
  fault_ = std::move(fault);
}

std::vector<FakeHub::Seen> FakeHub::seen() {
  const std::lock_guard lock(mutex_);
  return seen_;
}

void FakeHub::forget_seen() {
  const std::lock_guard lock(mutex_);
  seen_.clear();
}

void FakeHub::set_part_size(size_t part_size) { part_size_ = part_size; }

Reply FakeHub::seen_and_faulted(const ServerRequest& request, bool on_storage_host) {
  const std::lock_guard lock(mutex_);
  seen_.push_back({request, on_storage_host});
  Reply reply = on_storage_host ? on_storage(request) : on_hub(request);
  if (fault_) fault_(request, on_storage_host, reply);
  return reply;
}

Reply FakeHub::on_hub(const ServerRequest& request) {
  if (request.path.rfind("/api/", 0) == 0) return api(request);
  const Route route = route_of(request.path.substr(1));
  if (route.repo.ends_with(".git")) return lfs_batch(request);
  Reply refusal;
  if (visible(request, route.repo, refusal) == nullptr) return refusal;
  if (route.verb == "resolve") {
    // refs/pr/N is one revision with slashes.
    const bool is_ref = route.rest.rfind("refs/", 0) == 0;
    size_t slash = route.rest.find('/');
    if (is_ref) slash = route.rest.find('/', std::string("refs/pr/").size());
    Reply reply = resolve(route.repo, route.rest.substr(0, slash), route.rest.substr(slash + 1));
    apply_range(request, reply);
    if (request.method == "HEAD" && reply.status == 200) {
      reply.headers["Content-Length"] = std::to_string(reply.body.size());
    }
    return reply;
  }
  return refused(404, "", "no such page");
}

Reply FakeHub::on_storage(const ServerRequest& request) {
  // Signed addresses: credentials have no business here.
  if (!request.header("authorization").empty()) return refused(400, "", "token at the storage");
  const auto parts = split(request.path.substr(1), '/');
  if (parts.front() == "blob" && request.method == "GET" && storage_.contains(parts[1])) {
    Reply reply{.headers = {{"ETag", "\"storage-own\""}}, .body = storage_.at(parts[1])};
    apply_range(request, reply);
    return reply;
  }
  if (parts.front() == "put" && request.method == "PUT") {
    if (sha256(request.body) != parts[1]) return refused(400, "", "hash");
    storage_[parts[1]] = request.body;
    return {};
  }
  if (parts.front() == "part" && request.method == "PUT") {
    parts_[parts[1]][std::stoi(parts[2])] = request.body;
    return {.headers = {{"ETag", "\"part-" + parts[2] + "\""}}};
  }
  return refused(404, "", "no such object");
}

Reply FakeHub::api(const ServerRequest& request) {
  const std::string& path = request.path;
  const bool known = request.header("authorization") == std::string("Bearer ") + kTestToken;
  if (path == "/api/whoami-v2") {
    if (!known) return refused(401, "", "Invalid credentials in Authorization header");
    return json({{"type", "user"},
                 {"name", "tester"},
                 {"fullname", "Test Er"},
                 {"orgs", {{{"name", "org"}}}},
                 {"auth",
                  {{"type", "access_token"},
                   {"accessToken", {{"displayName", "laptop"}, {"role", "write"}}}}}});
  }
  if (path == "/api/validate-yaml")
    return json({{"errors", Json::array()}, {"warnings", Json::array()}});
  if (request.method == "POST" && !known) return refused(401, "", "Invalid username or password.");
  if (path == "/api/repos/create") return create(request);
  if (path.rfind("/api/complete/", 0) == 0) {
    const std::string hash = path.substr(std::string("/api/complete/").size());
    std::string content;
    for (const auto& [number, part] : parts_[hash]) content += part;
    if (sha256(content) != hash) return refused(400, "", "hash of the parts");
    storage_[hash] = content;
    return json(Json::object());
  }
  if (path == "/api/verify") {
    const auto oid = parse_json(request.body, "verify")["oid"].get<std::string>();
    return storage_.contains(oid) ? json(Json::object()) : refused(404, "", "not there");
  }
  const std::string models = "/api/models/";
  if (path.rfind(models, 0) != 0) return refused(404, "", "no such page");
  return repo_api(request, path.substr(models.size()));
}

Reply FakeHub::repo_api(const ServerRequest& request, const std::string& rest) {
  const Route route = route_of(rest);
  Reply refusal;
  Repo* repo = visible(request, route.repo, refusal);
  if (repo == nullptr) return refusal;
  if (route.verb.empty()) return info(route.repo, "main");
  if (route.verb == "revision") return info(route.repo, route.rest);
  if (route.verb == "tree") return tree(request, route.repo, route.rest);
  if (route.verb == "preupload") return preupload(request);
  if (route.verb == "commit") return take_commit(request, route.repo, route.rest);
  if (route.verb == "branch") {
    if (repo->branches.contains(route.rest)) return refused(409, "", "Reference already exists");
    repo->branches[route.rest] = repo->branches.at("main");
    return json(Json::object());
  }
  return refused(404, "", "no such page");
}

Reply FakeHub::create(const ServerRequest& request) {
  const Json body = parse_json(request.body, "create");
  const std::string name =
      (body["organization"].is_null() ? std::string("tester")
                                      : body["organization"].get<std::string>()) +
      "/" + body["name"].get<std::string>();
  const std::string url = hub_.url() + "/" + name;
  if (repos_.contains(name)) {
    Reply reply = refused(409, "", "You already created this model repo");
    reply.body = dump_json(Json{{"error", "You already created this model repo"}, {"url", url}});
    return reply;
  }
  add_commit(repos_[name], "main", {{".gitattributes", {"*.bin filter=lfs\n", false}}});
  repos_[name].is_private = body.value("visibility", "public") == "private";
  return json({{"url", url}, {"name", name}});
}

FakeHub::Repo* FakeHub::visible(const ServerRequest& request, const std::string& name,
                                Reply& reply) {
  const bool known = request.header("authorization") == std::string("Bearer ") + kTestToken;
  const auto found = repos_.find(name);
  if (found == repos_.end() || (found->second.is_private && !known)) {
    reply = known ? refused(404, "RepoNotFound", "Repository not found")
                  : refused(401, "RepoNotFound", "Repository not found");
    return nullptr;
  }
  if (found->second.is_gated && !known) {
    reply = refused(403, "GatedRepo", "Access to model is restricted");
    return nullptr;
  }
  return &found->second;
}

const FakeHub::Files* FakeHub::find(const Repo& repo, std::string& revision) const {
  if (const auto branch = repo.branches.find(revision); branch != repo.branches.end()) {
    revision = branch->second;
  }
  const auto found = repo.commits.find(revision);
  return found == repo.commits.end() ? nullptr : &found->second;
}

Reply FakeHub::info(const std::string& name, const std::string& revision) {
  std::string commit = revision;
  const Files* files = find(repos_.at(name), commit);
  if (files == nullptr) return refused(404, "RevisionNotFound", "Invalid rev id");
  Json siblings = Json::array();
  for (const auto& [path, file] : *files) siblings.push_back({{"rfilename", path}});
  return json({{"id", name},
               {"modelId", name},
               {"sha", commit},
               {"private", repos_.at(name).is_private},
               {"tags", Json::array()},
               {"downloads", 0},
               {"likes", 0},
               {"siblings", std::move(siblings)}});
}

Reply FakeHub::tree(const ServerRequest& request, const std::string& name,
                    const std::string& revision) {
  constexpr size_t kPage = 3;
  std::string commit = revision;
  const Files* files = find(repos_.at(name), commit);
  if (files == nullptr) return refused(404, "RevisionNotFound", "Invalid rev id");
  const std::string mark = "cursor=";
  const size_t at = request.query.find(mark);
  const size_t begin =
      at == std::string::npos ? 0 : std::stoul(request.query.substr(at + mark.size()));
  Json entries = Json::array();
  size_t index = 0;
  for (const auto& [path, file] : *files) {
    if (index++ < begin || index > begin + kPage) continue;
    Json entry = {{"type", "file"},
                  {"oid", git_sha1(file.content)},
                  {"size", file.content.size()},
                  {"path", path}};
    if (file.large) {
      entry["lfs"] = {
          {"oid", sha256(file.content)}, {"size", file.content.size()}, {"pointerSize", 130}};
    }
    entries.push_back(std::move(entry));
  }
  Reply reply = json(entries);
  if (begin + kPage < files->size()) {
    reply.headers["Link"] = "<" + hub_.url() + request.path + "?recursive=true&" + mark +
                            std::to_string(begin + kPage) + ">; rel=\"next\"";
  }
  return reply;
}

Reply FakeHub::preupload(const ServerRequest& request) {
  Json files = Json::array();
  const Json body = parse_json(request.body, "preupload");
  for (const Json& one : body["files"]) {
    const auto path = one["path"].get<std::string>();
    files.push_back({{"path", path},
                     {"uploadMode", is_large(path) ? "lfs" : "regular"},
                     {"shouldIgnore", path.ends_with(".ignored")}});
  }
  return json({{"files", std::move(files)}});
}

Reply FakeHub::lfs_batch(const ServerRequest& request) {
  if (request.header("authorization") != std::string("Bearer ") + kTestToken) {
    return refused(401, "", "no token");
  }
  Json objects = Json::array();
  const Json body = parse_json(request.body, "batch");
  for (const Json& one : body["objects"]) {
    const auto oid = one["oid"].get<std::string>();
    const auto size = one["size"].get<size_t>();
    Json object = {{"oid", oid}, {"size", size}};
    if (!storage_.contains(oid)) {
      const std::string storage = storage_server_.url("localhost");
      Json upload = {{"href", storage + "/put/" + oid}};
      if (part_size_ > 0 && size > part_size_) {
        Json header = {{"chunk_size", std::to_string(part_size_)}};
        for (size_t i = 0; i * part_size_ < size; ++i) {
          header[std::to_string(i + 1)] =
              storage + "/part/" + oid + "/" + std::to_string(i + 1) + "?signature=secret";
        }
        upload = {{"href", hub_.url() + "/api/complete/" + oid}, {"header", std::move(header)}};
      }
      object["actions"] = {{"upload", std::move(upload)},
                           {"verify", {{"href", hub_.url() + "/api/verify"}}}};
    }
    objects.push_back(std::move(object));
  }
  return json({{"transfer", "basic"}, {"objects", std::move(objects)}});
}

Reply FakeHub::take_commit(const ServerRequest& request, const std::string& name,
                           const std::string& revision) {
  Repo& repo = repos_.at(name);
  std::string parent = revision;
  const Files* before = find(repo, parent);
  if (before == nullptr) return refused(404, "RevisionNotFound", "Invalid rev id");
  Files files = *before;
  std::string summary;
  for (const std::string& line : split(request.body, '\n')) {
    if (line.empty()) continue;
    const Json entry = parse_json(line, "commit");
    const Json& value = entry["value"];
    if (entry["key"] == "header") summary = value["summary"].get<std::string>();
    if (entry["key"] == "file") {
      files[value["path"].get<std::string>()] = {from_base64(value["content"].get<std::string>()),
                                                 false};
    }
    if (entry["key"] == "lfsFile") {
      const auto oid = value["oid"].get<std::string>();
      if (!storage_.contains(oid)) return refused(400, "", "the storage has no such object");
      files[value["path"].get<std::string>()] = {storage_.at(oid), true};
    }
  }
  if (summary.empty()) return refused(400, "", "a commit needs a summary");
  const bool pull_request = request.query.find("create_pr=1") != std::string::npos;
  const std::string branch =
      pull_request ? "refs/pr/" + std::to_string(++repo.pull_requests) : revision;
  const std::string oid = add_commit(repo, branch, std::move(files));
  Json answer = {{"success", true},
                 {"commitOid", oid},
                 {"commitUrl", hub_.url() + "/" + name + "/commit/" + oid}};
  if (pull_request) {
    answer["pullRequestUrl"] =
        hub_.url() + "/" + name + "/discussions/" + std::to_string(repo.pull_requests);
  }
  return json(answer);
}

Reply FakeHub::resolve(const std::string& name, const std::string& revision,
                       const std::string& path) {
  std::string commit = revision;
  const Files* files = find(repos_.at(name), commit);
  if (files == nullptr) return refused(404, "RevisionNotFound", "Invalid rev id");
  const auto file = files->find(path);
  if (file == files->end()) {
    Reply reply = refused(404, "EntryNotFound", "Entry not found");
    reply.headers["X-Repo-Commit"] = commit;
    return reply;
  }
  const std::string& content = file->second.content;
  if (!file->second.large) {
    return {.headers = {{"X-Repo-Commit", commit}, {"ETag", "\"" + git_sha1(content) + "\""}},
            .body = content};
  }
  return {.status = 302,
          .headers = {{"X-Repo-Commit", commit},
                      {"X-Linked-Etag", "\"" + sha256(content) + "\""},
                      {"X-Linked-Size", std::to_string(content.size())},
                      {"Location", storage_server_.url("localhost") + "/blob/" + sha256(content) +
                                       "?signature=secret"}}};
}

std::string FakeHub::add_commit(Repo& repo, const std::string& branch, Files files) {
  const std::string oid = git_sha1("commit " + std::to_string(commits_made_++));
  repo.commits[oid] = std::move(files);
  repo.branches[branch] = oid;
  if (!repo.branches.contains("main")) repo.branches["main"] = oid;
  return oid;
}

}  // namespace peft::hub
