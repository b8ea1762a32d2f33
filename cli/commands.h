#pragma once

#include "cli/command.h"

namespace peft::cli {

// One function a file in cli/commands.
Command train_command();
Command generate_command();
Command methods_command();
Command compare_command();
Command predict_command();
Command embed_command();
Command score_command();
Command merge_command();
Command convert_command();
Command combine_command();
Command tokenize_command();
Command info_command();
Command quickstart_command();
Command pull_command();
Command push_command();
Command login_command();
Command whoami_command();

}  // namespace peft::cli
