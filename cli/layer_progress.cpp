#include "cli/layer_progress.h"

#include <memory>
#include <optional>

#include "peft/base/progress.h"

namespace peft::cli {

LayerProgress layer_bar(const Console& console, const char* label) {
  const auto bar = std::make_shared<std::optional<ProgressBar>>();
  return [bar, label, &console](int64_t done, int64_t all) {
    if (!*bar) {
      bar->emplace(
          console.talk,
          ProgressOptions{
              .label = label, .total = all, .unit = "layer", .terminal = console.talk_terminal});
    }
    (*bar)->set_done(done);
    if (done == all) (*bar)->finish();
  };
}

}  // namespace peft::cli
