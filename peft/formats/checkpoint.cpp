#include "peft/formats/checkpoint.h"

#include <fmt/format.h>

#include "peft/base/error.h"
#include "peft/formats/folder_checkpoint.h"
#include "peft/formats/gguf_checkpoint.h"

namespace peft::formats {

std::shared_ptr<Checkpoint> Checkpoint::open(const std::filesystem::path& path) {
  std::error_code code;
  const auto status = std::filesystem::status(path, code);
  if (!std::filesystem::exists(status)) {
    throw NotFoundError(fmt::format(
        "{}: there is no such file or folder. Name a checkpoint folder or a .gguf file.",
        path.string()));
  }
  if (std::filesystem::is_directory(status)) return std::make_shared<FolderCheckpoint>(path);
  if (path.extension() == ".safetensors") {
    throw ConfigError(fmt::format(
        "{}: expected a checkpoint folder or a .gguf file, got weights alone. Name the folder that "
        "also holds config.json.",
        path.string()));
  }
  return std::make_shared<GgufCheckpoint>(path);
}

}  // namespace peft::formats
