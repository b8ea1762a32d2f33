#include <fmt/core.h>

#include <string>

#include "cli/commands.h"
#include "peft/adapter/attention_adapters.h"
#include "peft/base/json_text.h"
#include "peft/base/text.h"
#include "peft/methods/registry.h"

namespace peft::cli {

namespace {

struct MethodsOptions {
  std::string method = "";
  bool markdown = false;

  static void fields(auto& self, auto&& field) {
    field("method", self.method, "One method, with its settings: LORA, PREFIX_TUNING, ...",
          Positional{});
    field("markdown", self.markdown, "The page docs/methods.md.");
  }
};

std::string what_it_adapts(const Method& method) {
  if (method.attention != nullptr) return "the output of attention layers";
  if (!method.is_prompt_learning()) return "weights";
  return method.prompt_is_cache ? "keys and values before the tokens'"
                                : "embeddings before the tokens'";
}

const char* yes_or_no(bool answer) { return answer ? "yes" : "no"; }

bool merges(const Method& method) {
  return method.can_merge && !method.is_prompt_learning() && method.attention == nullptr;
}

/// The config as it is where nothing is set.
PeftConfig plain_config(const Method& method) {
  return method.parse({{"peft_type", std::string(method.name)}}, "defaults");
}

void list_methods(const Console& console) {
  console.result(fmt::format("{:<24}{:<38}{:<8}{}", "method", "adapts", "merges", "joins others"));
  for (const Method* method : all_methods()) {
    console.result(fmt::format("{:<24}{:<38}{:<8}{}", method->name, what_it_adapts(*method),
                               yes_or_no(merges(*method)), yes_or_no(method->can_mix)));
  }
  console.say("\npeft methods NAME lists the settings of one.");
}

std::string default_text(const Json& defaults, const std::string& key) {
  const auto value = defaults.find(key);
  return value == defaults.end() ? "" : dump_json(*value, {.indent = {}});
}

void describe_method(const Method& method, const Console& console) {
  const PeftConfig config = plain_config(method);
  const Json defaults = config.to_json();
  console.result(fmt::format("{}: {}\n", method.name, what_it_adapts(method)));
  for (const FieldDescription& field : config.describe()) {
    console.result(fmt::format("  {:<32} {} (default: {})", field.key, field.help,
                               default_text(defaults, field.key)));
  }
}

void write_page(const Console& console) {
  console.result("# Methods\n");
  console.result(
      "The methods that this library has, and the keys of their `adapter_config.json`. This page "
      "is\n"
      "made by `peft methods --markdown`.\n");
  console.result("| method | adapts | merges | joins others |");
  console.result("|---|---|---|---|");
  for (const Method* method : all_methods()) {
    console.result(fmt::format("| [`{}`](../peft/methods/{}/README.md) | {} | {} | {} |",
                               method->name, method_folder(*method), what_it_adapts(*method),
                               yes_or_no(merges(*method)), yes_or_no(method->can_mix)));
  }
  for (const Method* method : all_methods()) {
    const PeftConfig config = plain_config(*method);
    const Json defaults = config.to_json();
    console.result(
        fmt::format("\n## {}\n\n| key | default | meaning |\n|---|---|---|", method->name));
    for (const FieldDescription& field : config.describe()) {
      console.result(fmt::format("| `{}` | `{}` | {} |", field.key,
                                 default_text(defaults, field.key), field.help));
    }
  }
}

int methods(const MethodsOptions& options, Console& console) {
  if (options.markdown) {
    write_page(console);
  } else if (options.method.empty()) {
    list_methods(console);
  } else {
    describe_method(find_method(options.method), console);
  }
  return kOk;
}

}  // namespace

Command methods_command() {
  return command<MethodsOptions>("methods", "The methods that there are, and their settings.",
                                 "[NAME]", methods);
}

}  // namespace peft::cli
