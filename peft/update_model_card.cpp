// What PEFT writes into the model card of adapters.

#include <algorithm>
#include <set>

#include "peft/base/file.h"
#include "peft/base/json_text.h"
#include "peft/base/text.h"
#include "peft/model_card.h"

namespace peft {
namespace {

constexpr const char* kProcedure = "## Training procedure";
constexpr const char* kQuantised =
    "The following `bitsandbytes` quantization config was used during training:";
constexpr const char* kFramework = "### Framework versions";

// A text as a value stands in Python's f-strings.
std::string python_text(const Json& value) {
  if (value.is_null()) return "None";
  if (value.is_boolean()) return value.get<bool>() ? "True" : "False";
  if (value.is_string()) return value.get<std::string>();
  return dump_json(value, {.indent = std::nullopt});
}

// Behind the heading and the empty line below it; under a new heading where there is none.
void insert_below(std::vector<std::string>& lines, const std::string& heading,
                  const std::string& text, const std::string& gap) {
  const auto found = std::find(lines.begin(), lines.end(), heading);
  if (found == lines.end()) {
    lines.push_back(heading + gap + text);
  } else {
    lines.insert(found + std::min<std::ptrdiff_t>(2, lines.end() - found), text);
  }
}

void add_quantisation(std::vector<std::string>& lines, const Json& config) {
  const bool there = std::find(lines.begin(), lines.end(), kQuantised) != lines.end();
  if (!config.is_object() || there) return;
  std::vector<std::string> items;
  for (const auto& [name, value] : config.items()) {
    items.push_back("- " + name + ": " + python_text(value));
  }
  insert_below(lines, kProcedure, "\n" + std::string(kQuantised) + "\n" + join(items, "\n") + "\n",
               "\n");
}

std::vector<std::string> tags_of(const Tuner& tuner) {
  std::vector<std::string> tags;
  if (tuner.facts().is_pretrained) tags.push_back("transformers");
  if (tuner.method().name == "LORA") tags.push_back("lora");
  if (const auto& name = tuner.facts().name_or_path) tags.push_back("base_model:adapter:" + *name);
  return tags;
}

bool is_causal_lm(const Tuner& tuner) {
  if (tuner.configs().empty()) return false;
  const auto* task = tuner.configs().front().second.shared().task_type;
  return task != nullptr && *task == "CAUSAL_LM";
}

// In Python's order of the entries, which a new card gets.
void update_metadata(ModelCard& card, const Tuner& tuner) {
  if (const auto& name = tuner.facts().name_or_path) card.set("base_model", *name);
  card.set("library_name", "peft");
  if (!card.has("pipeline_tag") && is_causal_lm(tuner)) card.set("pipeline_tag", "text-generation");
  std::set<std::string> tags;
  for (std::string& tag : card.strings("tags")) tags.insert(std::move(tag));
  for (std::string& tag : tags_of(tuner)) tags.insert(std::move(tag));
  if (!tags.empty()) card.set("tags", std::vector<std::string>(tags.begin(), tags.end()));
}

}  // namespace

void create_or_update_model_card(const Tuner& tuner, const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "README.md";
  ModelCard card;
  if (std::filesystem::exists(path)) {
    card = ModelCard(read_text_file(path), path.string());
  } else {
    card.set_text("\n# Adapter\n\nA " + std::string(tuner.method().name) +
                  " adapter in the file format of PEFT.\n");
  }
  update_metadata(card, tuner);
  std::vector<std::string> lines = lines_of(card.text());
  add_quantisation(lines, tuner.facts().quantization_config);
  const std::string version = "- PEFT " + std::string(kPeftVersion);
  if (std::find(lines.begin(), lines.end(), version) == lines.end()) {
    insert_below(lines, kFramework, version, "\n\n");
  }
  card.set_text(join(lines, "\n"));
  write_file_atomically(path, card.content());
}

}  // namespace peft
