#include <fmt/core.h>

#include <map>

#include "cli/command.h"
#include "cli/commands.h"
#include "cli/facts.h"
#include "cli/named_adapters.h"
#include "cli/status_table.h"
#include "peft/base/json_text.h"

namespace peft::cli {

namespace {

struct InfoOptions {
  NamedAdaptersOptions model = {.model = {.device = "cpu"}};
  std::vector<std::filesystem::path> paths = {};
  bool modules = false;
  bool json = false;

  static void fields(auto& self, auto&& field) {
    field("paths", self.paths, "Checkpoint folders, adapter folders, .safetensors or .gguf files",
          Positional{});
    NamedAdaptersOptions::fields(
        self.model, [&](std::string_view name, auto& value, std::string_view help, auto...) {
          field(name, value, help);
        });
    field("modules", self.modules, "List the modules that an adapter can be put on, or is on.");
    field("json", self.json, "Write an object for each path.");
  }
};

int write_status(const InfoOptions& options, Console& console) {
  const auto adapters = options.model.adapters();
  if (adapters.empty()) throw UsageError("--adapter is missing: a folder of an adapter.");
  AdaptedModel model = AdaptedModel::open(options.model.model, adapters);
  const auto layers = model.peft().get_layer_status();
  const TunerModelStatus status = model.peft().get_model_status();
  if (!options.json) {
    console.out << describe_status(status, layers, console.out_terminal);
    return kOk;
  }
  Json object = {{"layer_status", Json::array()}, {"model_status", to_json(status)}};
  for (const auto& layer : layers) object["layer_status"].push_back(to_json(layer));
  console.result(dump_json(object, {.indent = {}, .ensure_ascii = false}));
  return kOk;
}

int info(const InfoOptions& options, Console& console) {
  const bool of_model = !options.model.model.model_name_or_path.empty();
  if (of_model == !options.paths.empty()) {
    throw UsageError(
        "expected paths of files and folders, or --model_name_or_path M --adapter A for the status "
        "of an adapted model.");
  }
  if (of_model) return write_status(options, console);
  for (const auto& path : options.paths) {
    const Facts facts = facts_of(path);
    if (options.json) {
      Json object = to_json(facts);
      if (!options.modules) object.erase("modules");
      console.result(dump_json(object, {.indent = {}, .ensure_ascii = false}));
    } else if (options.modules) {
      for (const auto& module : facts.modules) console.result(module.name);
    } else {
      console.out << describe(facts, console.out_terminal);
    }
  }
  return kOk;
}

}  // namespace

Command info_command() {
  return command<InfoOptions>("info", "Say what a checkpoint, weight file or adapter is.",
                              "PATH... | --model_name_or_path M --adapter A [--modules] [--json]",
                              info);
}

}  // namespace peft::cli
