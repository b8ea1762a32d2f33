#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace peft::hub {

/// Throws: ConfigError where this is not "name" or "namespace/name" as the Hub allows them.
/// Source: validate_repo_id in huggingface_hub/utils/_validators.py.
void check_repo_id(std::string_view repo);

/// Throws: ConfigError where a branch, tag or commit could not be a path of its own below refs/.
void check_revision(std::string_view revision);

/// True for 40 digits of lower-case hexadecimal: the full name of a commit.
bool is_commit(std::string_view revision);

/// What a user wrote in place of a folder.
struct Reference {
  std::string repo = {};       // "namespace/name"
  std::string revision = {};   // empty: the caller's, or main
  std::string subfolder = {};  // inside the repository; empty: its root
};

/// Reads `[hf://]NAMESPACE/NAME[@REVISION][/SUBFOLDER]`, or the `NAME[@REVISION]` of the oldest
/// repositories; nullopt where the text cannot be one.
/// A slash in the revision is written %2F, but for refs/pr/N.
std::optional<Reference> parse_reference(std::string_view text);

/// Everything but letters, digits and "-_.~" as %XX; `keep` are further characters that stay.
std::string percent_encoded(std::string_view text, std::string_view keep = "");

}  // namespace peft::hub
