#include "cli/commands.h"
#include "cli/hub_progress.h"
#include "peft/hub/upload.h"

namespace peft::cli {

namespace {

struct PushOptions {
  std::vector<std::string> folder_and_repo = {};
  std::string revision = {};
  std::string path_in_repo = {};
  std::string commit_message = "Upload model";
  std::string commit_description = {};
  bool is_private = false;
  bool create_pr = false;
  std::vector<std::string> include = {};
  std::vector<std::string> exclude = {};

  static void fields(auto& self, auto&& field) {
    field("folder_and_repo", self.folder_and_repo,
          "A folder, and the repository of the Hub: NAMESPACE/NAME, made where absent.", Required{},
          Positional{});
    field("revision", self.revision, "Branch to commit to, made where absent; unset: main.");
    field("path_in_repo", self.path_in_repo, "Folder in the repository; unset: its root.");
    field("commit_message", self.commit_message, "First line of the commit.");
    field("commit_description", self.commit_description, "Text below it.");
    field("private", self.is_private, "A repository that is made is private.");
    field("create_pr", self.create_pr, "Open a pull request instead of changing the branch.");
    field("include", self.include, "Patterns of the files to upload, as '*.json'; none: all.");
    field("exclude", self.exclude, "Patterns of files to leave out.");
  }
};

int push(const PushOptions& options, Console& console) {
  if (options.folder_and_repo.size() != 2) {
    throw UsageError("expected a folder and a repository: peft push DIR NAMESPACE/NAME.");
  }
  hub::Client client(hub::settings_from_environment());
  const hub::Commit commit =
      hub::push_folder(client, options.folder_and_repo[0], options.folder_and_repo[1],
                       {.revision = options.revision,
                        .path_in_repo = options.path_in_repo,
                        .commit_message = options.commit_message,
                        .commit_description = options.commit_description,
                        .is_private = options.is_private ? std::optional(true) : std::nullopt,
                        .create_pr = options.create_pr,
                        .patterns = {.include = options.include, .exclude = options.exclude},
                        .progress = transfer_bar(console, "push")});
  console.result(commit.url);
  if (!commit.pull_request_url.empty()) console.say("pull request: " + commit.pull_request_url);
  return kOk;
}

}  // namespace

Command push_command() {
  return command<PushOptions>("push", "Upload a folder to the Hub in one commit.",
                              "DIR REPO [--create_pr] [--private] [FLAGS]", push);
}

}  // namespace peft::cli
