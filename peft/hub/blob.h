#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "peft/hub/client.h"

namespace peft::hub {

/// What the Hub says about one file before its bytes come.
struct FileFacts {
  std::string commit = {};
  std::string etag = {};              // the name of its blob
  std::optional<uint64_t> size = {};  // bytes
};

/// Asks about a file of a branch, tag or commit.
/// Throws: NotFoundError, AccessError, NetworkError, FormatError (this is no Hub).
FileFacts head_file(Client& client, const std::string& repo, const std::string& file,
                    const std::string& revision);

/// Brings a file's bytes to `blob`: resumed where an earlier attempt ended, checked against the
/// length and the hash that the etag is, and only then named. The caller holds the blob's lock.
/// `advanced` learns how many bytes are there.
/// Throws: NotFoundError, AccessError, NetworkError, FormatError, IoError.
void download_blob(Client& client, const std::string& repo, const std::string& file,
                   const FileFacts& facts, const std::filesystem::path& blob,
                   const std::function<void(uint64_t done)>& advanced);

}  // namespace peft::hub
