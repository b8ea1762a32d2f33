#pragma once

#include <optional>
#include <string>
#include <vector>

#include "peft/hub/token.h"
#include "peft/hub/upload.h"
#include "peft/peft_model.h"

namespace peft {

struct PushToHubOptions {
  std::string commit_message = "Upload model";
  std::string commit_description = {};
  std::optional<bool> is_private = {};   // of a repository that is made; unset: the Hub's choice
  std::optional<hub::Token> token = {};  // unset: HF_TOKEN or the one of `peft login`
  std::string revision = {};             // branch, made where absent; empty: main
  bool create_pr = false;                // true: a pull request instead of a change of the branch
  std::vector<std::string> tags = {};    // added to the model card
  /// What is written, and how; `is_main_process` must be true.
  SaveOptions save = {};
  hub::ProgressCallback progress = {};
};

/// Uploads a model's adapters in one commit. The repository is made where it is absent; a model
/// card that it has keeps its text and tags.
/// Throws: what save_pretrained and hub::push_folder throw.
/// Source: PushToHubMixin.push_to_hub in transformers/utils/hub.py.
hub::Commit push_to_hub(const PeftModel& model, const std::string& repo_id,
                        const PushToHubOptions& options = {});

}  // namespace peft
