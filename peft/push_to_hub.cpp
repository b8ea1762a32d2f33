#include "peft/push_to_hub.h"

#include <algorithm>

#include "peft/base/error.h"
#include "peft/base/file.h"
#include "peft/hub/download.h"
#include "peft/hub/settings.h"
#include "peft/model_card.h"

namespace peft {
namespace {

namespace fs = std::filesystem;

// The card that the repository has now, so that saving keeps its text.
void fetch_card(hub::Client& client, const std::string& repo_id, const std::string& revision,
                const fs::path& card) {
  hub::DownloadOptions options;
  if (!revision.empty()) options.revision = revision;
  try {
    write_file_atomically(
        card, read_text_file(hub::hf_hub_download(client, repo_id, "README.md", options)));
  } catch (const NotFoundError&) {
    // A new repository, a new branch, or one without a card.
  }
}

void tag_card(const fs::path& path, const std::vector<std::string>& tags) {
  if (tags.empty()) return;
  ModelCard card(read_text_file(path), path.string());
  std::vector<std::string> all = card.strings("tags");
  for (const std::string& tag : tags) {
    if (std::find(all.begin(), all.end(), tag) == all.end()) all.push_back(tag);
  }
  card.set("tags", all);
  write_file_atomically(path, card.content());
}

}  // namespace

hub::Commit push_to_hub(const PeftModel& model, const std::string& repo_id,
                        const PushToHubOptions& options) {
  hub::Settings settings = hub::settings_from_environment();
  if (options.token) settings.token = *options.token;
  hub::Client client(settings);
  const hub::PushOptions push{.revision = options.revision,
                              .commit_message = options.commit_message,
                              .commit_description = options.commit_description,
                              .is_private = options.is_private,
                              .create_pr = options.create_pr,
                              .progress = options.progress};
  return hub::push_saved(client, repo_id, push, [&](const fs::path& folder) {
    fetch_card(client, repo_id, options.revision, folder / "README.md");
    model.save_pretrained(folder, options.save);
    tag_card(folder / "README.md", options.tags);
  });
}

}  // namespace peft
