#include "peft/hub/login.h"

#include <fmt/core.h>
#include <termios.h>
#include <unistd.h>

#include <iostream>

#include "cli/commands.h"
#include "peft/base/error.h"
#include "peft/base/json_text.h"
#include "peft/base/text.h"

namespace peft::cli {

namespace {

struct LoginOptions {
  static void fields(auto&, auto&&) {}
};

struct WhoamiOptions {
  bool json = false;

  static void fields(auto& self, auto&& field) { field("json", self.json, "Write an object."); }
};

/// While it lives, what is typed is not shown.
class HiddenInput {
 public:
  HiddenInput() {
    if (::tcgetattr(STDIN_FILENO, &before_) != 0) return;
    termios hidden = before_;
    hidden.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    changed_ = ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden) == 0;
  }
  ~HiddenInput() {
    if (changed_) ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
  }
  HiddenInput(const HiddenInput&) = delete;
  HiddenInput& operator=(const HiddenInput&) = delete;

 private:
  termios before_ = {};
  bool changed_ = false;
};

hub::Token read_token(const Console& console) {
  std::string line;
  const bool typed = ::isatty(STDIN_FILENO) != 0;
  if (typed) console.say("Paste a token of huggingface.co/settings/tokens; it is not shown:");
  const HiddenInput hidden;
  std::getline(std::cin, line);
  hub::Token token{std::string(trim(line))};
  if (token.empty()) throw ConfigError("standard input: expected a token, got an empty line.");
  return token;
}

/// The token comes from standard input, so that no list of processes or history shows it.
int login(const LoginOptions&, Console& console) {
  hub::Settings settings = hub::settings_from_environment();
  settings.token = read_token(console);
  hub::Client client(settings);
  const hub::Account account = hub::whoami(client);
  hub::save_token(settings, settings.token,
                  account.token_name.empty() ? account.name : account.token_name);
  console.say(fmt::format("Logged in as {}; the token is in {}.", account.name,
                          settings.token_path.string()));
  return kOk;
}

int whoami(const WhoamiOptions& options, Console& console) {
  hub::Client client(hub::settings_from_environment());
  const hub::Account account = hub::whoami(client);
  if (options.json) {
    console.result(dump_json(Json{{"name", account.name},
                                  {"fullname", account.full_name},
                                  {"orgs", account.organisations},
                                  {"token_name", account.token_name},
                                  {"token_role", account.token_role}},
                             {.indent = {}, .ensure_ascii = false}));
    return kOk;
  }
  console.result(account.name);
  if (!account.organisations.empty()) {
    console.say("organisations: " + join(account.organisations, ", "));
  }
  return kOk;
}

}  // namespace

Command login_command() {
  return command<LoginOptions>("login", "Save a token of the Hub, read from standard input.",
                               "< FILE", login);
}

Command whoami_command() {
  return command<WhoamiOptions>("whoami", "Say whose token is used with the Hub.", "[--json]",
                                whoami);
}

}  // namespace peft::cli
