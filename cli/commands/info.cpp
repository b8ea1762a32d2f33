#include <fmt/core.h>

#include <map>

#include "cli/command.h"
#include "cli/commands.h"
#include "cli/facts.h"
#include "peft/base/json_text.h"

namespace peft::cli {

namespace {

struct InfoOptions {
  std::vector<std::filesystem::path> paths = {};
  bool modules = false;
  bool json = false;

  static void fields(auto& self, auto&& field) {
    field("paths", self.paths, "Checkpoint folders, adapter folders, .safetensors or .gguf files",
          Required{}, Positional{});
    field("modules", self.modules, "List the modules that an adapter can be put on, or is on.");
    field("json", self.json, "Write an object for each path.");
  }
};

int info(const InfoOptions& options, Console& console) {
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
                              "PATH... [--modules] [--json]", info);
}

}  // namespace peft::cli
