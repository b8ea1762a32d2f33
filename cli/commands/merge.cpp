#include <fmt/core.h>

#include "cli/adapted_model.h"
#include "cli/commands.h"
#include "cli/layer_progress.h"
#include "cli/merged_checkpoint.h"
#include "peft/base/error.h"

namespace peft::cli {

namespace {

struct MergeOptions {
  ModelOptions model = {.device = "cpu"};
  std::filesystem::path output_dir = {};
  bool safe_merge = false;

  static void fields(auto& self, auto&& field) {
    ModelOptions::fields(self.model, field);
    field("output_dir", self.output_dir, "Folder for the merged checkpoint.", Required{});
    field("safe_merge", self.safe_merge, "Refuse an adapter that makes weights infinite or NaN.");
  }
};

int merge(const MergeOptions& options, Console& console) {
  if (options.model.adapter.empty())
    throw UsageError("--adapter is missing: a folder of an adapter.");
  if (std::filesystem::exists(options.output_dir / "config.json")) {
    throw Error(
        fmt::format("{}: holds a checkpoint already: expected a new folder. Name another one.",
                    options.output_dir.string()));
  }
  AdaptedModel model = AdaptedModel::open(options.model);
  const auto report = write_merged_checkpoint(
      options.output_dir, model.peft(), *model.base().checkpoint,
      {.safe = options.safe_merge, .progress = layer_bar(console, "merge")});
  console.say(fmt::format("{} tensors written to {}", report.tensors, options.output_dir.string()));
  if (!report.has_tokenizer) {
    console.warning(
        "the base model has no tokenizer that can be written as tokenizer.json: "
        "copy one into the folder.");
  }
  return kOk;
}

}  // namespace

Command merge_command() {
  return command<MergeOptions>(
      "merge", "Fold an adapter into its base model.",
      "--model_name_or_path M --adapter DIR --output_dir OUT [--dtype ...]", merge);
}

}  // namespace peft::cli
