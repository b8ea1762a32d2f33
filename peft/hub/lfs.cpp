#include "peft/hub/lfs.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <map>
#include <utility>

#include "peft/base/error.h"
#include "peft/base/json_text.h"
#include "peft/base/text.h"
#include "peft/hub/transfer.h"

namespace peft::hub {
namespace {

constexpr size_t kBatch = 256;  // objects in one request, as Python's client sends
constexpr const char* kLfsType = "application/vnd.git-lfs+json";

using Sent = std::function<void(uint64_t)>;

[[noreturn]] void throw_malformed(const LocalFile& file, const std::string& what) {
  throw FormatError(quote(file.path_in_repo) + ": the Hub's upload instructions are wrong: " +
                    what + ". Try again; if it stays so, the host is at fault.");
}

/// A proxy of the Hub answers with the Hub's own addresses.
std::string at_endpoint(const Client& client, const std::string& url) {
  const std::string home = Settings().endpoint;
  return url.rfind(home, 0) == 0 ? client.settings().endpoint + url.substr(home.size()) : url;
}

Json post(Client& client, const std::string& url, const Json& body, const LocalFile& file) {
  const HttpResponse response =
      client.request({.method = "POST",
                      .url = url,
                      .headers = {{"Accept", kLfsType}, {"Content-Type", kLfsType}},
                      .body = dump_json(body, {.indent = {}}),
                      .stall_timeout = 60});
  check_status(response, url, "upload of " + quote(file.path_in_repo));
  if (response.body.empty()) return {};
  return parse_json(response.body, shown_url(url), {.max_bytes = kMaxAnswer, .max_depth = 32});
}

/// Sends a range of a file; every attempt reads it anew. Returns the ETag of the answer.
std::string put(Client& client, const std::string& url, const LocalFile& file, uint64_t offset,
                uint64_t size, const Sent& sent) {
  uint64_t at = 0;
  HttpRequest request{.method = "PUT", .url = url, .body_size = size, .stall_timeout = 60};
  request.read_body = [&](char* to, size_t room) {
    const size_t wanted = static_cast<size_t>(std::min<uint64_t>(room, size - at));
    size_t got = 0;
    read_pieces(file.path, offset + at, wanted, [&](std::string_view piece) {
      std::memcpy(to + got, piece.data(), piece.size());
      got += piece.size();
    });
    if (got < wanted) {
      throw IoError(file.path.string() + ": the file became shorter while it was sent.");
    }
    at += got;
    sent(offset + at);
    return got;
  };
  for (int attempt = 0;; ++attempt) {
    at = 0;
    std::optional<HttpResponse> answer;
    try {
      answer = client.request(request, {.attempts = 1});
      check_status(*answer, url, "upload of " + quote(file.path_in_repo));
      return answer->header("etag");
    } catch (const NetworkError&) {
      if (attempt + 1 >= Repeat().attempts) throw;
    }
    client.wait(attempt, answer);
  }
}

/// "1": URL, "2": URL, ... of the header, in the order of their numbers.
std::vector<std::string> part_urls(const Json& header) {
  std::map<int, std::string> parts;
  for (const auto& [key, value] : header.items()) {
    int number = 0;
    const auto [end, code] = std::from_chars(key.data(), key.data() + key.size(), number);
    if (code == std::errc() && end == key.data() + key.size() && value.is_string()) {
      parts[number] = value.get<std::string>();
    }
  }
  std::vector<std::string> urls;
  for (auto& [number, url] : parts) urls.push_back(std::move(url));
  return urls;
}

uint64_t chunk_size_of(const Json& header, const LocalFile& file) {
  const Json& value = header["chunk_size"];
  const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
  uint64_t size = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), size);
  if (code != std::errc() || end != text.data() + text.size() || size == 0) {
    throw_malformed(file, "expected a chunk_size, got " + quote(text));
  }
  return size;
}

void upload_parts(Client& client, const LocalFile& file, const Json& header,
                  const std::string& completion, const Sent& sent) {
  const uint64_t chunk = chunk_size_of(header, file);
  const auto urls = part_urls(header);
  const uint64_t expected = file.size / chunk + (file.size % chunk != 0 ? 1 : 0);
  if (urls.size() != expected) {
    throw_malformed(file, "expected " + std::to_string(expected) + " parts, got " +
                              std::to_string(urls.size()));
  }
  Json parts = Json::array();
  for (size_t i = 0; i < urls.size(); ++i) {
    const uint64_t offset = i * chunk;
    const std::string etag =
        put(client, urls[i], file, offset, std::min(chunk, file.size - offset), sent);
    if (etag.empty()) throw_malformed(file, "expected an ETag for each part, got none");
    parts.push_back({{"partNumber", i + 1}, {"etag", etag}});
  }
  post(client, completion, {{"oid", file.sha256}, {"parts", std::move(parts)}}, file);
}

void upload_one(Client& client, const LocalFile& file, const Json& actions, const Sent& sent) {
  const Json& upload = actions.at("upload");
  const std::string url = at_endpoint(client, upload.at("href").get<std::string>());
  const Json header = upload.contains("header") ? upload["header"] : Json::object();
  if (header.is_object() && header.contains("chunk_size")) {
    upload_parts(client, file, header, url, sent);
  } else {
    put(client, url, file, 0, file.size, sent);
  }
  if (actions.contains("verify") && actions["verify"].is_object()) {
    const std::string verify = at_endpoint(client, actions["verify"].at("href").get<std::string>());
    post(client, verify, {{"oid", file.sha256}, {"size", file.size}}, file);
  }
}

using FilesByHash = std::map<std::string, const LocalFile*>;

Json ask_where(Client& client, const std::string& repo, const std::string& revision,
               const FilesByHash& files) {
  Json objects = Json::array();
  for (const auto& [hash, file] : files) {
    objects.push_back({{"oid", hash}, {"size", file->size}});
  }
  const LocalFile& first = *files.begin()->second;
  Json body = {{"operation", "upload"},
               {"transfers", {"basic", "multipart"}},
               {"objects", std::move(objects)},
               {"hash_algo", "sha256"}};
  if (!revision.empty()) body["ref"] = {{"name", revision}};
  const Json answer =
      post(client, client.url("/" + repo + ".git/info/lfs/objects/batch"), body, first);
  if (answer.is_object() && answer.contains("objects") && answer["objects"].is_array()) {
    return answer["objects"];
  }
  throw_malformed(first, "expected a list of objects");
}

void upload_batch(Client& client, const std::string& repo, const std::string& revision,
                  const std::vector<const LocalFile*>& files,
                  const std::function<void(const LocalFile&, uint64_t)>& sent) {
  FilesByHash waiting;  // equal files are one object
  for (const LocalFile* file : files) waiting[file->sha256] = file;
  for (const Json& object : ask_where(client, repo, revision, waiting)) {
    try {
      const auto found = waiting.find(object.at("oid").get<std::string>());
      if (found == waiting.end()) {
        throw_malformed(*files.front(), "an object that was not asked for");
      }
      const LocalFile& file = *found->second;
      waiting.erase(found);
      if (object.contains("error")) {
        throw AccessError(quote(file.path_in_repo) + ": the storage refuses the file: " +
                          quote(object["error"].at("message").get<std::string>()) + ".");
      }
      if (object.contains("actions") && object["actions"].is_object()) {
        upload_one(client, file, object["actions"], [&](uint64_t bytes) { sent(file, bytes); });
      }
    } catch (const Json::exception&) {
      throw_malformed(*files.front(), "a key is missing or of another type");
    }
  }
  if (!waiting.empty()) {
    throw_malformed(*waiting.begin()->second, "expected an answer for this file, got none");
  }
}

}  // namespace

void upload_large_files(Client& client, const std::string& repo, const std::string& revision,
                        const std::vector<LocalFile>& files,
                        const std::function<void(const LocalFile&, uint64_t)>& sent) {
  std::vector<const LocalFile*> batch;
  for (const LocalFile& file : files) {
    if (file.is_large) batch.push_back(&file);
    if (batch.size() < kBatch) continue;
    upload_batch(client, repo, revision, batch, sent);
    batch.clear();
  }
  if (!batch.empty()) upload_batch(client, repo, revision, batch, sent);
}

}  // namespace peft::hub
