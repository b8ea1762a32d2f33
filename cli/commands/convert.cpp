#include <fmt/core.h>

#include "cli/command.h"
#include "cli/commands.h"
#include "peft/adapter_folder.h"
#include "peft/base/error.h"
#include "peft/peft_model.h"

namespace peft::cli {

namespace {

struct ConvertOptions {
  std::filesystem::path adapter = {};
  std::filesystem::path path_initial_model_for_weight_conversion = {};
  std::filesystem::path output_dir = {};

  static void fields(auto& self, auto&& field) {
    field("adapter", self.adapter, "Folder of the trained adapter.", Required{});
    field("path_initial_model_for_weight_conversion", self.path_initial_model_for_weight_conversion,
          "Folder of the adapter as it began: peft train keeps it in OUT/initial.", Required{});
    field("output_dir", self.output_dir, "Folder for the plain adapter.", Required{});
  }
};

int convert(const ConvertOptions& options, Console& console) {
  if (std::filesystem::exists(options.output_dir / "adapter_config.json")) {
    throw Error(
        fmt::format("{}: holds an adapter already: expected a new folder. Name another one.",
                    options.output_dir.string()));
  }
  const PeftConfig config = read_adapter_config(options.adapter);
  const auto [plain, tensors] = converted_adapter(config, read_adapter_weights(options.adapter),
                                                  options.path_initial_model_for_weight_conversion);
  write_adapter(options.output_dir, plain, tensors);
  const auto card = options.adapter / "README.md";
  if (std::filesystem::exists(card)) {
    std::filesystem::copy_file(card, options.output_dir / "README.md",
                               std::filesystem::copy_options::overwrite_existing);
  }
  console.say(fmt::format("{} tensors written to {}", tensors.size(), options.output_dir.string()));
  return kOk;
}

}  // namespace

Command convert_command() {
  return command<ConvertOptions>(
      "convert", "Turn an adapter that took a part of the base weights into a plain one.",
      "--adapter DIR --path_initial_model_for_weight_conversion DIR/initial --output_dir OUT",
      convert);
}

}  // namespace peft::cli
