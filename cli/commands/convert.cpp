#include <fmt/core.h>

#include "cli/adapted_model.h"
#include "cli/commands.h"
#include "cli/hub_progress.h"
#include "cli/layer_progress.h"
#include "peft/adapter_folder.h"
#include "peft/base/error.h"
#include "peft/convert_to_lora.h"
#include "peft/hub/resolve.h"
#include "peft/peft_model.h"

namespace peft::cli {

namespace {

struct ConvertOptions {
  ModelOptions model = {.device = "cpu"};
  std::string to = {};
  std::string rank = {};
  std::filesystem::path path_initial_model_for_weight_conversion = {};
  std::filesystem::path output_dir = {};

  static void fields(auto& self, auto&& field) {
    ModelOptions::fields(self.model,
                         [&](std::string_view name, auto& value, std::string_view help, auto...) {
                           if (name == "adapter") {
                             field(name, value, help, Required{});
                           } else {
                             field(name, value, help);
                           }
                         });
    field("to", self.to, "lora: make a LoRA adapter that comes close to one of any method.");
    field("rank", self.rank,
          "With --to lora: the rank, or as a fraction the share of each layer's squared singular "
          "values that its rank has to reach.");
    field("path_initial_model_for_weight_conversion", self.path_initial_model_for_weight_conversion,
          "Folder of the adapter as it began, for one that took a part of the base weights: peft "
          "train keeps it in OUT/initial.");
    field("output_dir", self.output_dir, "Folder for the new adapter.", Required{});
  }
};

/// "8" is a rank, "0.9" a share.
ConversionRank read_rank(const std::string& text) {
  const auto refuse = [&] {
    return UsageError(
        fmt::format("--rank: expected a whole number of 1 or more, or a fraction above 0 and at "
                    "most 1.0, got '{}'.",
                    text));
  };
  size_t used = 0;
  double value = 0;
  try {
    value = std::stod(text, &used);
  } catch (const std::exception&) {
    throw refuse();
  }
  const bool whole = text.find_first_not_of("0123456789") == std::string::npos;
  const bool fits = whole ? value >= 1 && value <= 1e9 : value > 0 && value <= 1;
  if (used != text.size() || !fits) throw refuse();
  if (whole) return static_cast<int64_t>(value);
  return value;
}

// A plain adapter from one whose beginning took a part of the base weights.
void convert_from_initial(const ConvertOptions& options, Console& console) {
  const auto folder =
      hub::adapter_folder(options.model.adapter, {.progress = transfer_bar(console, "adapter")});
  const PeftConfig config = read_adapter_config(folder);
  const auto [plain, tensors] = converted_adapter(config, read_adapter_weights(folder),
                                                  options.path_initial_model_for_weight_conversion);
  write_adapter(options.output_dir, plain, tensors);
  const auto card = folder / "README.md";
  if (std::filesystem::exists(card)) {
    std::filesystem::copy_file(card, options.output_dir / "README.md",
                               std::filesystem::copy_options::overwrite_existing);
  }
  console.say(fmt::format("{} tensors written to {}", tensors.size(), options.output_dir.string()));
}

void convert_by_rank(const ConvertOptions& options, Console& console) {
  const ConversionRank rank = read_rank(options.rank);
  AdaptedModel model = AdaptedModel::open(options.model);
  save_as_lora(model.peft(), options.output_dir, rank, "default", layer_bar(console, "convert"));
  console.say(fmt::format("adapter written to {}", options.output_dir.string()));
}

void check(const ConvertOptions& options) {
  const bool initial = !options.path_initial_model_for_weight_conversion.empty();
  if (!options.to.empty() && options.to != "lora") {
    throw UsageError(fmt::format("--to: expected lora, got '{}'.", options.to));
  }
  if (initial == !options.to.empty()) {
    throw UsageError("expected one of --to lora and --path_initial_model_for_weight_conversion.");
  }
  if (options.to.empty() && !options.rank.empty()) throw UsageError("--rank: expected --to lora.");
  if (!options.to.empty() && options.rank.empty()) throw UsageError("--rank is missing.");
  if (!options.to.empty() && options.model.model_name_or_path.empty()) {
    throw UsageError("--model_name_or_path is missing: the change of its weights is converted.");
  }
  options.model.wanted_dtype();
  if (std::filesystem::exists(options.output_dir / "adapter_config.json")) {
    throw Error(
        fmt::format("{}: holds an adapter already: expected a new folder. Name another one.",
                    options.output_dir.string()));
  }
}

int convert(const ConvertOptions& options, Console& console) {
  check(options);
  if (options.to.empty()) {
    convert_from_initial(options, console);
  } else {
    convert_by_rank(options, console);
  }
  return kOk;
}

}  // namespace

Command convert_command() {
  return command<ConvertOptions>(
      "convert", "Turn an adapter into a plain LoRA adapter.",
      "--adapter A --output_dir OUT (--to lora --rank R --model_name_or_path M | "
      "--path_initial_model_for_weight_conversion DIR/initial)",
      convert);
}

}  // namespace peft::cli
