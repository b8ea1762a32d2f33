#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "peft/hub/error.h"

namespace peft::hub {

/// Most bytes of an answer that is kept in memory: 64 MiB.
inline constexpr size_t kMaxAnswer = size_t{1} << 26;

struct HttpRequest {
  std::string method = "GET";
  std::string url = {};
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::string body = {};  // of a POST
  /// Of a PUT: gives up to `size` further bytes, 0 at the end; `body_size` in all.
  std::function<size_t(char* to, size_t size)> read_body = {};
  uint64_t body_size = 0;
  double connect_timeout = 10;  // seconds
  double stall_timeout = 10;    // seconds without a byte in either direction
};

struct HttpResponse {
  int status = 0;
  std::map<std::string, std::string> headers = {};  // names in lower case
  std::string body = {};

  /// Empty where there is none.
  const std::string& header(const std::string& name) const;
};

/// Takes the body of a 200 or 206 answer piece by piece, with the head that came before it. What it
/// throws ends the transfer and reaches the caller.
using BodySink = std::function<void(const HttpResponse& head, std::string_view piece)>;

/// One connection pool over libcurl; it follows no redirect and adds no credentials. Proxies and
/// certificates are the system's, as curl finds them. Not for two threads at once.
class HttpClient {
 public:
  HttpClient();
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  /// Any status is an answer.
  /// Throws: NetworkError where no whole answer came (UnreachableError: no connection).
  HttpResponse send(const HttpRequest& request, const BodySink& sink = {});

 private:
  struct Handle;
  std::unique_ptr<Handle> handle_;
};

/// Scheme, host and port of a URL, in lower case and with the default ports filled in.
struct Origin {
  std::string scheme = {}, host = {};
  int port = 0;
  friend bool operator==(const Origin&, const Origin&) = default;
};

/// Throws: NetworkError where this is no http or https URL.
Origin origin_of(const std::string& url);

/// The URL that a Location or Link header means at `base`.  Throws: NetworkError.
std::string resolved_url(const std::string& base, const std::string& reference);

/// For messages: without the query, which may hold a signature, and without a user's name.
std::string shown_url(const std::string& url);

}  // namespace peft::hub
