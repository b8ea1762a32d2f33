#include "peft/hub/settings.h"

#include <cstdlib>

#include "peft/base/error.h"
#include "peft/base/file.h"
#include "peft/base/text.h"

namespace peft::hub {
namespace {

namespace fs = std::filesystem;

bool is_true(const std::string& text) {
  const std::string value = lower_case(text);
  return value == "1" || value == "on" || value == "yes" || value == "true";
}

bool is_name_character(char letter) {
  return std::isalnum(static_cast<unsigned char>(letter)) != 0 || letter == '_';
}

/// `~` at the start, `$NAME` and `${NAME}` anywhere, as os.path.expanduser and expandvars do;
/// unknown names stay as they are.
std::string expanded(const std::string& text, const Environment& environment) {
  std::string result;
  size_t at = 0;
  if (text == "~" || text.rfind("~/", 0) == 0) {
    result = value_of(environment, "HOME");
    at = 1;
  }
  while (at < text.size()) {
    if (text[at] != '$') {
      result += text[at++];
      continue;
    }
    const bool braces = at + 1 < text.size() && text[at + 1] == '{';
    const size_t begin = at + (braces ? 2 : 1);
    size_t end = begin;
    while (end < text.size() && is_name_character(text[end])) ++end;
    const std::string name = text.substr(begin, end - begin);
    const bool closed = !braces || (end < text.size() && text[end] == '}');
    const char* value = name.empty() || !closed ? nullptr : environment(name.c_str());
    const size_t next = end + (braces && closed ? 1 : 0);
    result += value == nullptr ? text.substr(at, next - at) : value;
    at = next;
  }
  return result;
}

double seconds_of(const Environment& environment, const char* name, double otherwise) {
  const std::string text = value_of(environment, name);
  if (text.empty()) return otherwise;
  const auto seconds = whole_number<int>(text);
  if (!seconds || *seconds < 0) {
    throw ConfigError(std::string(name) + ": expected a whole number of seconds, got " +
                      quote(text) + ".");
  }
  return *seconds == 0 ? otherwise : *seconds;
}

std::string endpoint_of(const Environment& environment) {
  std::string endpoint = value_of(environment, "HF_ENDPOINT");
  if (endpoint.empty()) return Settings().endpoint;
  while (!endpoint.empty() && endpoint.back() == '/') endpoint.pop_back();
  if (endpoint.rfind("https://", 0) != 0 && endpoint.rfind("http://", 0) != 0) {
    throw ConfigError("HF_ENDPOINT: expected https://HOST or http://HOST, got " + quote(endpoint) +
                      ".");
  }
  return endpoint;
}

/// Without line ends and blanks around it, as Python reads it.
Token cleaned(std::string text) {
  std::erase_if(text, [](char letter) { return letter == '\n' || letter == '\r'; });
  return Token(std::string(trim(text)));
}

Token token_of(const Environment& environment, const fs::path& file) {
  std::string text = value_of(environment, "HF_TOKEN");
  if (text.empty()) text = value_of(environment, "HUGGING_FACE_HUB_TOKEN");
  if (const Token token = cleaned(text); !token.empty()) return token;
  try {
    return cleaned(read_text_file(file, 1 << 16));
  } catch (const NotFoundError&) {
    return {};
  }
}

}  // namespace

Settings settings_from(const Environment& environment) {
  std::string home = value_of(environment, "HF_HOME");
  if (home.empty()) {
    std::string base = value_of(environment, "XDG_CACHE_HOME");
    if (base.empty()) base = "~/.cache";
    home = base + "/huggingface";
  }
  home = expanded(home, environment);
  std::string cache = value_of(environment, "HF_HUB_CACHE");
  if (cache.empty()) cache = value_of(environment, "HUGGINGFACE_HUB_CACHE");
  std::string token_path = value_of(environment, "HF_TOKEN_PATH");
  std::string offline = value_of(environment, "HF_HUB_OFFLINE");
  if (offline.empty()) offline = value_of(environment, "TRANSFORMERS_OFFLINE");

  Settings settings;
  settings.endpoint = endpoint_of(environment);
  settings.cache = cache.empty() ? fs::path(home) / "hub" : fs::path(expanded(cache, environment));
  settings.token_path =
      token_path.empty() ? fs::path(home) / "token" : fs::path(expanded(token_path, environment));
  settings.offline = is_true(offline);
  settings.symlinks = !is_true(value_of(environment, "HF_HUB_DISABLE_SYMLINKS"));
  settings.etag_timeout = seconds_of(environment, "HF_HUB_ETAG_TIMEOUT", settings.etag_timeout);
  settings.download_timeout =
      seconds_of(environment, "HF_HUB_DOWNLOAD_TIMEOUT", settings.download_timeout);
  if (!is_true(value_of(environment, "HF_HUB_DISABLE_IMPLICIT_TOKEN"))) {
    settings.token = token_of(environment, settings.token_path);
  }
  return settings;
}

Settings settings_from_environment() {
  return settings_from([](const char* name) { return std::getenv(name); });
}

}  // namespace peft::hub
