#pragma once

#include <string>
#include <vector>

#include "peft/hub/client.h"

namespace peft::hub {

/// Whom a token belongs to.
struct Account {
  std::string name = {};
  std::string full_name = {};
  std::vector<std::string> organisations = {};
  std::string token_name = {};  // as its owner named it
  std::string token_role = {};  // "read", "write", "fineGrained"
};

/// Asks the Hub.  Throws: ConfigError (no token), AccessError (a wrong one), NetworkError.
Account whoami(Client& client);

/// Writes the token where Python's client finds it: the token file, and `stored_tokens` beside it
/// under `name`. Both are readable by their owner alone.  Throws: IoError.
/// Source: huggingface_hub/_login.py and utils/_auth.py.
void save_token(const Settings& settings, const Token& token, const std::string& name);

}  // namespace peft::hub
