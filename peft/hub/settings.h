#pragma once

#include <filesystem>
#include <string>

#include "peft/base/terminal.h"
#include "peft/hub/token.h"

namespace peft::hub {

/// Where the Hub is, where files are kept and who asks.
///
/// Source: huggingface_hub/constants.py and utils/_auth.py.
struct Settings {
  std::string endpoint = "https://huggingface.co";  // HF_ENDPOINT, without a slash at its end
  std::filesystem::path cache = {};                 // HF_HUB_CACHE
  std::filesystem::path token_path = {};            // HF_TOKEN_PATH
  Token token = {};                                 // HF_TOKEN, else the file token_path
  bool offline = false;                             // HF_HUB_OFFLINE: the cache alone is used
  bool symlinks = true;          // false: HF_HUB_DISABLE_SYMLINKS, snapshots hold copies
  double etag_timeout = 10;      // HF_HUB_ETAG_TIMEOUT, seconds
  double download_timeout = 10;  // HF_HUB_DOWNLOAD_TIMEOUT, seconds without a byte
};

/// The settings that environment variables give. `read_token` false: no token is looked for, as
/// with HF_HUB_DISABLE_IMPLICIT_TOKEN.
/// Throws: ConfigError where a variable has a value that cannot be meant.
Settings settings_from(const Environment& environment, bool read_token = true);

/// The same for the environment of this process.
Settings settings_from_environment();

}  // namespace peft::hub
