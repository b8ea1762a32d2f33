#include "peft/hub/http.h"

#include <curl/curl.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <mutex>
#include <new>

#include "peft/base/error.h"
#include "peft/base/text.h"

namespace peft::hub {
namespace {

/// What curl's callbacks share during one request.
struct Exchange {
  const HttpRequest& request;
  const BodySink& sink;
  HttpResponse response = {};
  std::exception_ptr failure = {};
};

/// Runs a callback's work; an exception must not cross curl's C frames.
template <typename Work>
size_t guarded(Exchange& exchange, size_t when_failed, Work&& work) {
  try {
    return work();
  } catch (...) {
    exchange.failure = std::current_exception();
    return when_failed;
  }
}

size_t on_header(char* data, size_t, size_t size, void* context) {
  auto& exchange = *static_cast<Exchange*>(context);
  return guarded(exchange, 0, [&] {
    const std::string_view line = trim({data, size});
    HttpResponse& response = exchange.response;
    if (line.rfind("HTTP/", 0) == 0) {  // a proxy's or an interim answer may have come before
      response = {};
      const size_t space = line.find(' ');
      if (space != line.npos) response.status = std::atoi(line.data() + space);
    } else if (const size_t colon = line.find(':'); colon != line.npos) {
      std::string name(line.substr(0, colon));
      std::transform(name.begin(), name.end(), name.begin(),
                     [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
      response.headers[name] = std::string(trim(line.substr(colon + 1)));
    }
    return size;
  });
}

size_t on_body(char* data, size_t, size_t size, void* context) {
  auto& exchange = *static_cast<Exchange*>(context);
  return guarded(exchange, 0, [&] {
    const int status = exchange.response.status;
    if (exchange.sink && (status == 200 || status == 206)) {
      exchange.sink(exchange.response, {data, size});
      return size;
    }
    if (exchange.response.body.size() + size > kMaxAnswer) {
      throw NetworkError(shown_url(exchange.request.url) + ": the answer is too large: expected " +
                         "at most " + human_bytes(kMaxAnswer) + ".");
    }
    exchange.response.body.append(data, size);
    return size;
  });
}

size_t on_read(char* to, size_t, size_t size, void* context) {
  auto& exchange = *static_cast<Exchange*>(context);
  return guarded(exchange, CURL_READFUNC_ABORT,
                 [&] { return exchange.request.read_body(to, size); });
}

void start_curl_once() {
  static std::once_flag flag;
  std::call_once(flag, [] {
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) throw std::bad_alloc();
  });
}

class HeaderList {
 public:
  ~HeaderList() { curl_slist_free_all(list_); }
  void add(const std::string& line) {
    curl_slist* longer = curl_slist_append(list_, line.c_str());
    if (longer == nullptr) throw std::bad_alloc();
    list_ = longer;
  }
  curl_slist* get() const { return list_; }

 private:
  curl_slist* list_ = nullptr;
};

class Url {
 public:
  explicit Url(const std::string& text) {
    if (handle_ == nullptr) throw std::bad_alloc();
    set(text);
  }
  ~Url() { curl_url_cleanup(handle_); }
  Url(const Url&) = delete;
  Url& operator=(const Url&) = delete;

  /// An absolute URL replaces what is there, a relative one is resolved against it.
  void set(const std::string& text) {
    if (curl_url_set(handle_, CURLUPART_URL, text.c_str(), 0) != CURLUE_OK) {
      throw NetworkError(quote(text.substr(0, text.find('?'))) + ": expected a URL.");
    }
  }
  void clear(CURLUPart part) { curl_url_set(handle_, part, nullptr, 0); }
  std::string get(CURLUPart part, unsigned flags = 0) const {
    char* value = nullptr;
    if (curl_url_get(handle_, part, &value, flags) != CURLUE_OK) return "";
    std::string text(value);
    curl_free(value);
    return text;
  }

 private:
  CURLU* handle_ = curl_url();
};

long whole_seconds(double seconds) { return std::max(1L, std::lround(std::ceil(seconds))); }

}  // namespace

const std::string& HttpResponse::header(const std::string& name) const {
  static const std::string none;
  const auto found = headers.find(name);
  return found == headers.end() ? none : found->second;
}

struct HttpClient::Handle {
  Handle() {
    start_curl_once();
    curl = curl_easy_init();
    if (curl == nullptr) throw std::bad_alloc();
  }
  ~Handle() { curl_easy_cleanup(curl); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  void prepare(Exchange& exchange, curl_slist* headers);

  CURL* curl = nullptr;
};

void HttpClient::Handle::prepare(Exchange& exchange, curl_slist* headers) {
  const HttpRequest& request = exchange.request;
  curl_easy_reset(curl);  // keeps the open connections
  curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, 131072L);
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, whole_seconds(request.connect_timeout));
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, whole_seconds(request.stall_timeout));
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &exchange);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &exchange);
  if (request.method == "HEAD") {
    curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
  } else if (request.method == "POST") {
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body.data());
  } else if (request.method == "PUT") {
    curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(request.body_size));
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(curl, CURLOPT_READDATA, &exchange);
  }
}

HttpClient::HttpClient() : handle_(std::make_unique<Handle>()) {}
HttpClient::~HttpClient() = default;

HttpResponse HttpClient::send(const HttpRequest& request, const BodySink& sink) {
  HeaderList headers;
  for (const auto& [name, value] : request.headers) headers.add(name + ": " + value);
  headers.add("Expect:");  // some hosts answer it a second late
  Exchange exchange{.request = request, .sink = sink};
  handle_->prepare(exchange, headers.get());
  const CURLcode code = curl_easy_perform(handle_->curl);
  if (exchange.failure) std::rethrow_exception(exchange.failure);
  if (code == CURLE_OK) return std::move(exchange.response);
  const std::string reason =
      code == CURLE_OPERATION_TIMEDOUT
          ? "no byte came for " + std::to_string(whole_seconds(request.stall_timeout)) + " s"
          : curl_easy_strerror(code);
  const std::string text = shown_url(request.url) + ": " + reason +
                           ". Check the connection and try again; what came is kept.";
  if (code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_COULDNT_CONNECT) {
    throw UnreachableError(text);
  }
  throw NetworkError(text);
}

Origin origin_of(const std::string& url) {
  const Url parts(url);
  Origin origin{.scheme = parts.get(CURLUPART_SCHEME), .host = parts.get(CURLUPART_HOST)};
  for (char& letter : origin.host) {
    letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  }
  origin.port = std::atoi(parts.get(CURLUPART_PORT, CURLU_DEFAULT_PORT).c_str());
  if (origin.host.empty() || (origin.scheme != "http" && origin.scheme != "https")) {
    throw NetworkError(shown_url(url) + ": expected an http or https address.");
  }
  return origin;
}

std::string resolved_url(const std::string& base, const std::string& reference) {
  Url url(base);
  url.set(reference);
  return url.get(CURLUPART_URL);
}

std::string shown_url(const std::string& url) {
  try {
    Url parts(url);
    for (const CURLUPart part :
         {CURLUPART_QUERY, CURLUPART_FRAGMENT, CURLUPART_USER, CURLUPART_PASSWORD}) {
      parts.clear(part);
    }
    return parts.get(CURLUPART_URL);
  } catch (const NetworkError&) {
    return "an address that is no URL";
  }
}

}  // namespace peft::hub
