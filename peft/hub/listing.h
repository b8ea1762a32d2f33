#pragma once

#include <string>

#include "peft/hub/cache.h"
#include "peft/hub/client.h"

namespace peft::hub {

/// The commit that a branch or tag is at.
/// Throws: NotFoundError, AccessError, NetworkError, FormatError.
std::string resolve_revision(Client& client, const std::string& repo, const std::string& revision);

/// Every file of a commit; the pages of the answer are put together.
/// Throws: as resolve_revision.
Listing list_files(Client& client, const std::string& repo, const std::string& commit);

}  // namespace peft::hub
