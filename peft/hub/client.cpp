#include "peft/hub/client.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <thread>
#include <utility>

#include "peft/base/error.h"
#include "peft/base/json_text.h"
#include "peft/base/text.h"

namespace peft::hub {
namespace {

constexpr int kMaxRedirects = 10;
constexpr double kLongestWait = 300;  // seconds; a host that asks for more is left alone

bool is_redirect(const HttpResponse& response) {
  switch (response.status) {
    case 301:
    case 302:
    case 303:
    case 307:
    case 308:
      return !response.header("location").empty();
    default:
      return false;
  }
}

bool may_pass(int status) { return status == 429 || status == 408 || status >= 500; }

std::optional<double> number_at(std::string_view text) {
  int64_t number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code != std::errc() || number < 0) return std::nullopt;
  return static_cast<double>(number);
}

/// What the Hub itself says about an error, for people; the text is a stranger's.
std::string said(const HttpResponse& response) {
  std::string text = response.header("x-error-message");
  if (text.empty()) {
    try {
      const Json body = parse_json(response.body, "answer", {.max_bytes = 1 << 16});
      if (body.is_object() && body.contains("error") && body["error"].is_string()) {
        text = body["error"].get<std::string>();
      }
    } catch (const Error&) {  // a page for people: nothing to quote
    }
  }
  return text.empty() ? "" : " The Hub says " + quote(text) + ".";
}

}  // namespace

std::optional<double> asked_wait(const HttpResponse& response) {
  // `"api";r=0;t=55`: no requests remain, the window ends in 55 s.
  const std::string& limit = response.header("ratelimit");
  if (const size_t at = limit.find(";t="); at != limit.npos && limit.find(";r=0") != limit.npos) {
    if (const auto seconds = number_at(std::string_view(limit).substr(at + 3))) return *seconds + 1;
  }
  return number_at(response.header("retry-after"));
}

void check_status(const HttpResponse& response, const std::string& url, const std::string& what) {
  const int status = response.status;
  if (status >= 200 && status < 300) return;
  const std::string code = response.header("x-error-code");
  const std::string start = what + ": " + std::to_string(status) + " at " + shown_url(url) + ": ";
  const std::string end = said(response);
  if (code == "RevisionNotFound") {
    throw NotFoundError(start + "there is no such revision." + end +
                        " Check --revision against the repository's page.");
  }
  if (code == "EntryNotFound") throw NotFoundError(start + "there is no such file." + end);
  if (code == "GatedRepo") {
    throw AccessError(start + "the repository is gated." + end +
                      " Ask for access on its page, then `peft login`.");
  }
  if (code == "RepoNotFound" || status == 404) {
    throw NotFoundError(start + "there is no such repository, or it is private." + end +
                        " Check its name; for a private one, `peft login`.");
  }
  if (status == 401) {
    throw AccessError(start + "the Hub wants another token, or there is no such repository." + end +
                      " Check the name, then `peft login`.");
  }
  if (status == 403) {
    throw AccessError(start + "this token may not do that." + end +
                      " Use a token with the right permissions: `peft login`.");
  }
  if (status == 429) {
    const auto wait = asked_wait(response);
    throw NetworkError(start + "too many requests." + end + " Try again " +
                       (wait ? "in " + std::to_string(static_cast<int64_t>(*wait)) + " s."
                             : std::string("later.")));
  }
  if (status >= 500 || status == 408) {
    throw NetworkError(start + "the host failed." + end + " Try again later.");
  }
  if (status >= 300 && status < 400) {
    throw NetworkError(start + "expected an answer, got a redirect." + end + " Check HF_ENDPOINT.");
  }
  throw ConfigError(start + "the Hub refuses the request." + end);
}

Client::Client(Settings settings, Sleep sleep)
    : settings_(std::move(settings)), sleep_(std::move(sleep)) {
  if (!sleep_) {
    sleep_ = [](double seconds) {
      std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
    };
  }
}

bool Client::is_endpoint(const std::string& url) const {
  return origin_of(url) == origin_of(settings_.endpoint);
}

HttpResponse Client::send_once(HttpRequest request, const BodySink& sink) {
  const auto plain_headers = request.headers;
  for (int hop = 0; hop < kMaxRedirects; ++hop) {
    request.headers = plain_headers;
    request.headers.emplace_back("User-Agent", "peft-cpp/0.1");
    if (!settings_.token.empty() && is_endpoint(request.url)) {
      request.headers.emplace_back("Authorization", "Bearer " + settings_.token.reveal());
    }
    HttpResponse response = http_.send(request, sink);
    if (!is_redirect(response) || (request.method != "GET" && request.method != "HEAD")) {
      return response;
    }
    const std::string target = resolved_url(request.url, response.header("location"));
    const Origin from = origin_of(request.url), to = origin_of(target);
    if (request.method == "HEAD" && !is_endpoint(target)) {
      response.headers["location"] = target;
      return response;
    }
    if (from.scheme == "https" && to.scheme != "https") {
      throw NetworkError(shown_url(request.url) + ": expected a redirect to https, got " +
                         shown_url(target) + ". Nothing is fetched without encryption from there.");
    }
    request.url = target;
  }
  throw NetworkError(shown_url(request.url) + ": expected at most " +
                     std::to_string(kMaxRedirects) + " redirects, got more.");
}

void Client::wait(int attempt, const std::optional<HttpResponse>& answer) {
  double seconds = std::min(8.0, static_cast<double>(1 << std::min(attempt, 3)));
  if (answer) seconds = asked_wait(*answer).value_or(seconds);
  if (seconds > kLongestWait) {
    throw NetworkError("the host asks to wait " + std::to_string(static_cast<int64_t>(seconds)) +
                       " s. Try again then.");
  }
  sleep_(seconds);
}

HttpResponse Client::request(HttpRequest request, const Repeat& repeat, const BodySink& sink) {
  if (settings_.offline) {
    throw NetworkError(shown_url(request.url) +
                       ": offline mode is on: nothing is asked of the network. Unset "
                       "HF_HUB_OFFLINE.");
  }
  for (int attempt = 0;; ++attempt) {
    const bool last = attempt + 1 >= repeat.attempts;
    std::optional<HttpResponse> answer;
    try {
      answer = send_once(request, sink);
    } catch (const UnreachableError&) {
      throw;
    } catch (const NetworkError&) {
      if (last || repeat.unsafe) throw;
    }
    if (answer) {
      const bool again = answer->status == 429 || (may_pass(answer->status) && !repeat.unsafe);
      if (!again || last || asked_wait(*answer).value_or(0) > kLongestWait) return *answer;
    }
    wait(attempt, answer);
  }
}

namespace {

Json read_answer(const HttpResponse& response, const std::string& url, const std::string& what) {
  check_status(response, url, what);
  return parse_json(response.body, shown_url(url), {.max_bytes = kMaxAnswer, .max_depth = 32});
}

}  // namespace

Json Client::get_json(const std::string& path, const std::string& what) {
  const std::string address = url(path);
  return read_answer(request({.url = address,
                              .connect_timeout = settings_.etag_timeout,
                              .stall_timeout = settings_.etag_timeout}),
                     address, what);
}

Json Client::post_json(const std::string& path, const Json& body, const std::string& what,
                       const Repeat& repeat) {
  const std::string address = url(path);
  return read_answer(request({.method = "POST",
                              .url = address,
                              .headers = {{"Content-Type", "application/json"}},
                              .body = dump_json(body, {.indent = {}}),
                              .stall_timeout = 60},
                             repeat),
                     address, what);
}

}  // namespace peft::hub
