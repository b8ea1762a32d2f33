#include "peft/hub/blob.h"

#include <algorithm>
#include <charconv>

#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/hub/digest.h"
#include "peft/hub/reference.h"
#include "peft/hub/transfer.h"

namespace peft::hub {
namespace {

namespace fs = std::filesystem;

constexpr int kIdleAttempts = 5;   // attempts in a row that bring no byte
constexpr int kWholeAttempts = 2;  // downloads whose content is wrong

std::string resolve_path(const std::string& repo, const std::string& revision,
                         const std::string& file) {
  return "/" + repo + "/resolve/" + percent_encoded(revision) + "/" + percent_encoded(file, "/");
}

/// W/"abc" -> abc.
std::string plain_etag(std::string text) {
  if (text.rfind("W/", 0) == 0) text.erase(0, 2);
  std::erase(text, '"');
  return text;
}

/// An etag becomes a file's name, so it has to be one.
bool is_good_etag(const std::string& etag) {
  return !etag.empty() && etag.size() <= 128 && etag.front() != '.' &&
         std::all_of(etag.begin(), etag.end(), [](unsigned char letter) {
           return std::isalnum(letter) != 0 || letter == '-' || letter == '_' || letter == '.';
         });
}

std::optional<uint64_t> number_of(std::string_view text) {
  uint64_t number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || code != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

bool is_hex(const std::string& text, size_t size) {
  return text.size() == size && std::all_of(text.begin(), text.end(), [](char letter) {
           return (letter >= '0' && letter <= '9') || (letter >= 'a' && letter <= 'f');
         });
}

/// The hash of a file's content as its etag spells it; empty: this etag is no hash.
std::string hash_like(const std::string& etag, const PartialFile& file) {
  std::optional<Digest> digest;
  if (is_hex(etag, 64)) digest.emplace(Digest::Kind::kSha256);
  if (is_hex(etag, 40)) digest.emplace(Digest::of_git_blob(file.size()));
  if (!digest) return "";
  read_pieces(file.path(), 0, file.size(), [&](std::string_view piece) { digest->update(piece); });
  return digest->hex();
}

/// One file on its way.
class Download {
 public:
  Download(Client& client, std::string what, std::string url, const FileFacts& facts,
           const fs::path& blob, const std::function<void(uint64_t)>& advanced)
      : client_(client),
        what_(std::move(what)),
        url_(std::move(url)),
        facts_(facts),
        partial_(blob.string() + ".incomplete"),
        advanced_(advanced) {}

  void run(const fs::path& blob) {
    if (facts_.size && partial_.size() > *facts_.size) partial_.clear();
    if (facts_.size) check_free_space(blob.parent_path(), *facts_.size - partial_.size());
    for (int attempt = 1;; ++attempt) {
      try {
        bring_all();
        check();
        partial_.publish(blob);
        return;
      } catch (const FormatError&) {
        // Wrong bytes cannot be told from right ones: all of them go.
        partial_.clear();
        if (attempt < kWholeAttempts) continue;
        partial_.remove();
        throw;
      }
    }
  }

 private:
  bool complete() const { return facts_.size && partial_.size() == *facts_.size; }

  void bring_all() {
    for (int idle = 0; !complete();) {
      const uint64_t before = partial_.size();
      std::optional<HttpResponse> answer;
      try {
        answer = bring();
        if (answer->status == 416) throw_no_such_range();
        check_status(*answer, url_, what_);
        if (answer->status < 300 && !facts_.size) return;
      } catch (const NetworkError&) {
        if (idle + 1 >= kIdleAttempts && partial_.size() <= before) throw;
      }
      if (partial_.size() > before) {
        idle = 0;
      } else if (!complete()) {
        if (++idle >= kIdleAttempts) throw_too_short();
        client_.wait(idle - 1, answer);
      }
    }
  }

  HttpResponse bring() {
    HttpRequest request{.url = url_,
                        .headers = {{"Accept-Encoding", "identity"}},
                        .connect_timeout = client_.settings().etag_timeout,
                        .stall_timeout = client_.settings().download_timeout};
    const uint64_t from = partial_.size();
    if (from > 0) request.headers.emplace_back("Range", "bytes=" + std::to_string(from) + "-");
    bool first = true;
    return client_.request(std::move(request), {.attempts = 1},
                           [&](const HttpResponse& head, std::string_view piece) {
                             if (first) begin(head, from);
                             first = false;
                             take(piece);
                           });
  }

  /// The host may send the whole file in spite of the range.
  void begin(const HttpResponse& head, uint64_t from) {
    if (head.status == 200) {
      if (from > 0) partial_.clear();
      return;
    }
    const std::string expected = "bytes " + std::to_string(from) + "-";
    if (head.header("content-range").rfind(expected, 0) == 0) return;
    throw FormatError(what_ + ": expected the bytes from " + std::to_string(from) +
                      " on, got the range " + quote(head.header("content-range")) + ".");
  }

  [[noreturn]] void throw_no_such_range() const {
    throw FormatError(what_ + ": expected more than " + std::to_string(partial_.size()) +
                      " bytes, the host has no more. Try again; if it stays so, the host is at "
                      "fault.");
  }

  void take(std::string_view piece) {
    if (facts_.size && partial_.size() + piece.size() > *facts_.size) {
      throw FormatError(what_ + ": expected " + std::to_string(*facts_.size) +
                        " bytes, got more. Try again; if it stays so, the host is at fault.");
    }
    partial_.append(piece);
    advanced_(partial_.size());
  }

  [[noreturn]] void throw_too_short() const {
    throw NetworkError(
        what_ + ": expected " + (facts_.size ? std::to_string(*facts_.size) : std::string("all")) +
        " bytes, got " + std::to_string(partial_.size()) + ". Try again: what came is kept.");
  }

  void check() const {
    const std::string hash = hash_like(facts_.etag, partial_);
    if (hash.empty() || hash == facts_.etag) return;
    throw FormatError(what_ + ": the content is damaged: expected hash " + facts_.etag + ", got " +
                      hash + ". Try again; if it stays so, the host is at fault.");
  }

  Client& client_;
  const std::string what_, url_;
  const FileFacts& facts_;
  PartialFile partial_;
  const std::function<void(uint64_t)>& advanced_;
};

}  // namespace

FileFacts head_file(Client& client, const std::string& repo, const std::string& file,
                    const std::string& revision) {
  const std::string url = client.url(resolve_path(repo, revision, file));
  const std::string what = quote(file) + " of " + quote(repo);
  const double timeout = client.settings().etag_timeout;
  const HttpResponse response = client.request({.method = "HEAD",
                                                .url = url,
                                                .headers = {{"Accept-Encoding", "identity"}},
                                                .connect_timeout = timeout,
                                                .stall_timeout = timeout});
  const bool redirected = response.status >= 300 && response.status < 400;
  if (!redirected) check_status(response, url, what);
  const std::string& linked = response.header("x-linked-etag");
  FileFacts facts{.commit = response.header("x-repo-commit"),
                  .etag = plain_etag(linked.empty() ? response.header("etag") : linked)};
  facts.size = number_of(response.header("x-linked-size"));
  if (!facts.size && !redirected) facts.size = number_of(response.header("content-length"));
  if (is_commit(facts.commit) && is_good_etag(facts.etag)) return facts;
  throw FormatError(shown_url(url) +
                    ": expected the headers X-Repo-Commit and ETag of a Hub, got commit " +
                    quote(facts.commit) + " and etag " + quote(facts.etag) +
                    ". Check HF_ENDPOINT and the proxy.");
}

void download_blob(Client& client, const std::string& repo, const std::string& file,
                   const FileFacts& facts, const fs::path& blob,
                   const std::function<void(uint64_t)>& advanced) {
  // The commit, not the branch: that may move while the bytes come.
  Download(client, quote(file) + " of " + quote(repo),
           client.url(resolve_path(repo, facts.commit, file)), facts, blob, advanced)
      .run(blob);
}

}  // namespace peft::hub
