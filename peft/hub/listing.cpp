#include "peft/hub/listing.h"

#include "peft/base/error.h"
#include "peft/base/json_text.h"
#include "peft/base/text.h"
#include "peft/hub/reference.h"

namespace peft::hub {
namespace {

constexpr int kMaxPages = 10000;

/// The URL with rel="next" of a Link header; empty: this was the last page.
std::string next_page(const std::string& link) {
  for (const std::string& part : split(link, ',')) {
    const size_t begin = part.find('<'), end = part.find('>');
    if (begin == part.npos || end == part.npos || end < begin) continue;
    if (part.find("rel=\"next\"", end) != part.npos) return part.substr(begin + 1, end - begin - 1);
  }
  return "";
}

void add_entry(const Json& entry, Listing& listing) {
  if (entry.at("type") != "file") return;
  const auto path = entry.at("path").get<std::string>();
  check_file_path(path);
  RepoFile file{.size = entry.at("size").get<uint64_t>(),
                .blob_id = entry.at("oid").get<std::string>()};
  if (entry.contains("lfs") && entry["lfs"].is_object()) {
    file.lfs_sha256 = entry["lfs"].at("oid").get<std::string>();
    file.size = entry["lfs"].at("size").get<uint64_t>();
  }
  if (entry.contains("xetHash") && entry["xetHash"].is_string()) {
    file.xet_hash = entry["xetHash"].get<std::string>();
  }
  listing.emplace(path, std::move(file));
}

}  // namespace

std::string resolve_revision(Client& client, const std::string& repo, const std::string& revision) {
  const std::string path = "/api/models/" + repo + "/revision/" + percent_encoded(revision);
  const Json answer = client.get_json(path, "repository " + quote(repo));
  if (answer.is_object() && answer.contains("sha") && answer["sha"].is_string()) {
    const auto commit = answer["sha"].get<std::string>();
    if (is_commit(commit)) return commit;
  }
  throw FormatError(client.url(path) +
                    ": expected the name of a commit under \"sha\", got something else. Check "
                    "HF_ENDPOINT.");
}

Listing list_files(Client& client, const std::string& repo, const std::string& commit) {
  std::string url = client.url("/api/models/" + repo + "/tree/" + commit + "?recursive=true");
  Listing listing;
  for (int page = 0; page < kMaxPages && !url.empty(); ++page) {
    if (!client.is_endpoint(url)) {
      throw FormatError(shown_url(url) + ": expected a page of the listing at " +
                        client.settings().endpoint + ", got another host.");
    }
    const double timeout = client.settings().etag_timeout;
    const HttpResponse response =
        client.request({.url = url, .connect_timeout = timeout, .stall_timeout = timeout});
    check_status(response, url, "repository " + quote(repo));
    const Json entries = parse_json(response.body, shown_url(url), {.max_bytes = kMaxAnswer});
    try {
      for (const Json& entry : entries) add_entry(entry, listing);
    } catch (const Json::exception&) {
      throw FormatError(shown_url(url) + ": expected a list of files, got something else.");
    }
    const std::string next = next_page(response.header("link"));
    url = next.empty() ? "" : resolved_url(url, next);
  }
  return listing;
}

}  // namespace peft::hub
