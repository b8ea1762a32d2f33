#include "peft/hub/login.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "peft/base/error.h"
#include "peft/base/file.h"
#include "peft/base/text.h"

namespace peft::hub {
namespace {

namespace fs = std::filesystem;

/// Replaces a file in one step; nobody else can read it at any time.
void write_secret(const fs::path& path, std::string_view text) {
  ensure_folder(path.parent_path());
  std::string temporary = (path.parent_path() / ".token.XXXXXX").string();
  const int file = ::mkstemp(temporary.data());  // mode 0600
  bool good = file >= 0;
  while (good && !text.empty()) {
    const ssize_t done = ::write(file, text.data(), text.size());
    if (done < 0 && errno == EINTR) continue;
    good = done >= 0;
    if (good) text.remove_prefix(static_cast<size_t>(done));
  }
  good = good && ::fsync(file) == 0;
  if (file >= 0) good = ::close(file) == 0 && good;
  good = good && ::rename(temporary.c_str(), path.c_str()) == 0;
  if (good) return;
  const int code = errno;
  ::unlink(temporary.c_str());
  throw IoError(path.string() + ": writing the token failed: " + std::strerror(code) +
                ". Check the folder's permissions.");
}

/// An INI file without the section of that name.
std::string without_section(const std::string& text, const std::string& name) {
  std::string result;
  bool inside = false;
  for (const std::string& line : split(text, '\n')) {
    if (line.rfind('[', 0) == 0) inside = trim(line) == "[" + name + "]";
    if (!inside && !line.empty()) result += line + "\n";
    if (!inside && line.empty() && !result.empty() && !result.ends_with("\n\n")) result += "\n";
  }
  return result;
}

std::string text_at(const Json& object, const char* key) {
  return object.is_object() && object.contains(key) && object[key].is_string()
             ? object[key].get<std::string>()
             : "";
}

}  // namespace

Account whoami(Client& client) {
  if (client.settings().token.empty()) {
    throw ConfigError(
        "no token: expected HF_TOKEN or a token file, got none. `peft login` writes one.");
  }
  const Json answer = client.get_json("/api/whoami-v2", "the token");
  Account account{.name = text_at(answer, "name"), .full_name = text_at(answer, "fullname")};
  if (account.name.empty()) {
    throw FormatError(client.url("/api/whoami-v2") +
                      ": expected an account's name, got none. Check HF_ENDPOINT.");
  }
  if (answer.contains("orgs") && answer["orgs"].is_array()) {
    for (const Json& one : answer["orgs"]) account.organisations.push_back(text_at(one, "name"));
  }
  if (answer.contains("auth") && answer["auth"].is_object() &&
      answer["auth"].contains("accessToken")) {
    account.token_name = text_at(answer["auth"]["accessToken"], "displayName");
    account.token_role = text_at(answer["auth"]["accessToken"], "role");
  }
  return account;
}

void save_token(const Settings& settings, const Token& token, const std::string& name) {
  std::string section;  // the name is a stranger's: it must stay on its line
  for (const char letter : name) {
    if (static_cast<unsigned char>(letter) >= ' ') section += letter;
  }
  const fs::path stored = settings.token_path.parent_path() / "stored_tokens";
  std::string text;
  try {
    text = read_text_file(stored, 1 << 20);
  } catch (const NotFoundError&) {
  }
  text = without_section(text, section);
  if (!text.empty() && !text.ends_with("\n\n")) text += "\n";
  write_secret(stored, text + "[" + section + "]\nhf_token = " + token.reveal() + "\n\n");
  write_secret(settings.token_path, token.reveal());
}

}  // namespace peft::hub
