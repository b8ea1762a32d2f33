#include "cli/commands.h"
#include "cli/hub_progress.h"
#include "peft/hub/download.h"

namespace peft::cli {

namespace {

struct PullOptions {
  std::string repo = {};
  std::string revision = "main";
  std::filesystem::path cache_dir = {};
  std::vector<std::string> include = {};
  std::vector<std::string> exclude = {};
  bool local_files_only = false;

  static void fields(auto& self, auto&& field) {
    field("repo", self.repo, "Repository of the Hub: NAMESPACE/NAME.", Required{}, Positional{});
    field("revision", self.revision, "Branch, tag or commit.");
    field("cache_dir", self.cache_dir, "Folder of the cache; unset: HF_HUB_CACHE.");
    field("include", self.include, "Patterns of the files to fetch, as '*.json'; none: all.");
    field("exclude", self.exclude, "Patterns of files to leave out.");
    field("local_files_only", self.local_files_only, "Ask nothing of the network.");
  }
};

int pull(const PullOptions& options, Console& console) {
  hub::Settings settings = hub::settings_from_environment();
  if (!options.cache_dir.empty()) settings.cache = std::filesystem::absolute(options.cache_dir);
  hub::Client client(std::move(settings));
  const auto folder =
      hub::snapshot_download(client, options.repo,
                             {.revision = options.revision,
                              .patterns = {.include = options.include, .exclude = options.exclude},
                              .local_files_only = options.local_files_only,
                              .progress = transfer_bar(console, "pull")});
  console.result(folder.string());
  return kOk;
}

}  // namespace

Command pull_command() {
  return command<PullOptions>("pull", "Fetch a model or an adapter of the Hub into the cache.",
                              "REPO [--revision R] [--include PATTERN...] [FLAGS]", pull);
}

}  // namespace peft::cli
