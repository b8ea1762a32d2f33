#include "cli/hub_progress.h"

#include <fmt/core.h>

#include <optional>
#include <utility>

#include "peft/base/progress.h"

namespace peft::cli {

hub::ProgressCallback transfer_bar(const Console& console, std::string label) {
  const auto bar = std::make_shared<std::optional<ProgressBar>>();
  return [bar, label = std::move(label), &console](const hub::Progress& progress) {
    if (!*bar) {
      bar->emplace(console.talk, ProgressOptions{.label = label,
                                                 .total = static_cast<int64_t>(progress.total),
                                                 .unit = "B",
                                                 .bytes = true,
                                                 .terminal = console.talk_terminal});
    }
    (*bar)->set_postfix("file", fmt::format("{}/{}", progress.file_index + 1, progress.file_count));
    (*bar)->set_done(static_cast<int64_t>(progress.done));
    if (progress.done == progress.total && progress.file_index + 1 >= progress.file_count) {
      (*bar)->finish();
    }
  };
}

}  // namespace peft::cli
