#pragma once

#include <functional>
#include <optional>
#include <string>

#include "peft/base/json.h"
#include "peft/hub/http.h"
#include "peft/hub/settings.h"

namespace peft::hub {

/// How a request is repeated.
struct Repeat {
  int attempts = 5;     // in all, where the host answers 429 or 5xx or not at all
  bool unsafe = false;  // a second request may do the work twice: only 429 is asked again
};

/// Speaks with one Hub. The token goes to the endpoint's own scheme, host and port and nowhere
/// else, wherever redirects or answers point. Not for two threads at once.
class Client {
 public:
  using Sleep = std::function<void(double seconds)>;

  /// `sleep` waits between attempts; empty: this thread sleeps.
  explicit Client(Settings settings, Sleep sleep = {});

  const Settings& settings() const { return settings_; }

  /// Sends a request, repeats it where that can help, and follows redirects of GET (of HEAD only
  /// those that stay on the Hub: the others describe the file). Any other status is returned.
  /// Throws: NetworkError (also when offline).
  HttpResponse request(HttpRequest request, const Repeat& repeat = {}, const BodySink& sink = {});

  /// The same for the API below the endpoint, whose answer is JSON. `what` names the thing for
  /// messages, e.g. "repository 'a/b'".
  /// Throws: NetworkError, NotFoundError, AccessError, FormatError (no JSON).
  Json get_json(const std::string& path, const std::string& what);
  Json post_json(const std::string& path, const Json& body, const std::string& what,
                 const Repeat& repeat = {});

  /// Waits before the attempt after attempt number `attempt` (from 0): as long as the answer asks,
  /// else 1, 2, 4, 8 seconds.  Throws: NetworkError where it asks for more than five minutes.
  void wait(int attempt, const std::optional<HttpResponse>& answer = std::nullopt);

  /// "https://huggingface.co" + path.
  std::string url(const std::string& path) const { return settings_.endpoint + path; }

  /// True where the token may be sent to this URL.
  bool is_endpoint(const std::string& url) const;

 private:
  HttpResponse send_once(HttpRequest request, const BodySink& sink);

  Settings settings_;
  Sleep sleep_;
  HttpClient http_;
};

/// Throws the error that a status other than 2xx means.
/// Throws: NotFoundError (404, an unknown repository), AccessError (401, 403), NetworkError (429,
/// 5xx), ConfigError (other 4xx).
void check_status(const HttpResponse& response, const std::string& url, const std::string& what);

/// Seconds that an answer asks to wait (Retry-After, RateLimit); nullopt where it does not say.
std::optional<double> asked_wait(const HttpResponse& response);

}  // namespace peft::hub
