#include "peft/hub/reference.h"

#include <algorithm>
#include <cctype>

#include "peft/base/error.h"
#include "peft/base/text.h"

namespace peft::hub {
namespace {

bool is_word(char letter) {
  return std::isalnum(static_cast<unsigned char>(letter)) != 0 || letter == '_';
}

std::string fault_of_repo_id(std::string_view repo) {
  if (std::count(repo.begin(), repo.end(), '/') > 1) return "more than one '/'";
  if (repo.empty() || repo.size() > 96) return std::to_string(repo.size()) + " characters";
  if (repo.find("--") != repo.npos || repo.find("..") != repo.npos) return "'--' or '..' in it";
  if (repo.ends_with(".git")) return "'.git' at its end";
  for (const std::string& part : split(repo, '/')) {
    if (part.empty()) return "an empty part";
    if (!is_word(part.front()) || !is_word(part.back())) return "'-' or '.' at the end of a part";
    for (const char letter : part) {
      if (!is_word(letter) && letter != '-' && letter != '.')
        return "a character that is not allowed";
    }
  }
  return "";
}

int hex_digit(char letter) {
  if (letter >= '0' && letter <= '9') return letter - '0';
  const int lower = std::tolower(static_cast<unsigned char>(letter));
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

std::string percent_decoded(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool code = text[i] == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 &&
                      hex_digit(text[i + 2]) >= 0;
    if (code) {
      result += static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
      i += 2;
    } else {
      result += text[i];
    }
  }
  return result;
}

/// A name without a namespace that cannot be meant for a repository.
bool is_file_name(std::string_view text) {
  for (const char* ending : {".gguf", ".safetensors", ".json", ".bin", ".pt", ".pth"}) {
    if (text.ends_with(ending)) return true;
  }
  return false;
}

/// How much of "REVISION/SUBFOLDER" is the revision.
size_t revision_length(std::string_view text) {
  size_t at = 0;
  if (text.rfind("refs/pr/", 0) == 0) at = std::string_view("refs/pr/").size();
  return std::min(text.find('/', at), text.size());
}

}  // namespace

void check_repo_id(std::string_view repo) {
  const std::string fault = fault_of_repo_id(repo);
  if (fault.empty()) return;
  throw ConfigError("repository " + quote(repo) +
                    ": expected NAME or NAMESPACE/NAME of letters, digits, '-', '_' and '.', at "
                    "most 96 characters, got " +
                    fault + ".");
}

void check_revision(std::string_view revision) {
  bool good = !revision.empty() && revision.size() <= 255;
  for (const std::string& part : split(revision, '/')) {
    good = good && !part.empty() && part.front() != '.';
  }
  for (const char letter : revision) {
    good = good && static_cast<unsigned char>(letter) > ' ' && letter != '\\' && letter != 0x7f;
  }
  if (good) return;
  throw ConfigError("revision " + quote(revision) +
                    ": expected a branch, a tag or a commit. See the repository's page.");
}

bool is_commit(std::string_view revision) {
  return revision.size() == 40 && std::all_of(revision.begin(), revision.end(), [](char letter) {
           return (letter >= '0' && letter <= '9') || (letter >= 'a' && letter <= 'f');
         });
}

std::optional<Reference> parse_reference(std::string_view text) {
  const std::string_view scheme = "hf://";
  if (text.rfind(scheme, 0) == 0) text.remove_prefix(scheme.size());
  size_t end = std::min(text.find_first_of("@/"), text.size());
  if (end < text.size() && text[end] == '/') {
    end = std::min(text.find_first_of("@/", end + 1), text.size());
  } else if (is_file_name(text)) {
    return std::nullopt;
  }
  Reference reference{.repo = std::string(text.substr(0, end))};
  if (!fault_of_repo_id(reference.repo).empty()) return std::nullopt;
  text.remove_prefix(end);
  if (!text.empty() && text.front() == '@') {
    text.remove_prefix(1);
    const size_t length = revision_length(text);
    reference.revision = percent_decoded(text.substr(0, length));
    if (reference.revision.empty()) return std::nullopt;
    text.remove_prefix(length);
  }
  while (!text.empty() && text.front() == '/') text.remove_prefix(1);
  while (!text.empty() && text.back() == '/') text.remove_suffix(1);
  reference.subfolder = std::string(text);
  const auto parts = split(text, '/');
  const bool plain = std::none_of(parts.begin(), parts.end(), [&](const std::string& part) {
    return part == "." || part == ".." || (part.empty() && !text.empty());
  });
  if (!plain) return std::nullopt;
  return reference;
}

std::string percent_encoded(std::string_view text, std::string_view keep) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string result;
  for (const char letter : text) {
    const auto byte = static_cast<unsigned char>(letter);
    const bool plain = byte < 0x80 && (is_word(letter) || std::string_view("-.~").find(letter) !=
                                                              std::string_view::npos);
    if (plain || keep.find(letter) != keep.npos) {
      result += letter;
    } else {
      result += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return result;
}

}  // namespace peft::hub
