#include <gtest/gtest.h>

#include <string>

#include "peft/base/json_text.h"
#include "peft/tokenizers/tokenizer.h"

// What Python's `tokenizers` makes of texts, and what this library makes of them.
namespace peft::tokenizers {
namespace {

std::string golden_folder() { return std::string(PEFT_SOURCE_DIR) + "/tests/tokenizers/golden/"; }

const Json& golden() {
  static const Json cases = read_json_file(golden_folder() + "cases.json");
  return cases;
}

Json tokenizer_json(const std::string& name) {
  return read_json_file(golden_folder() + name + ".json");
}

std::shared_ptr<Tokenizer> make(const Json& json, const std::string& name) {
  return Tokenizer::from_json(json.dump(), name);
}

/// Compares every field that the case has.
void expect_case(const Tokenizer& tokenizer, const Json& expected) {
  const std::string text = expected["text"].get<std::string>();
  SCOPED_TRACE("text " + expected["text"].dump());
  const Encoding encoding = tokenizer.encode(text);
  EXPECT_EQ(Json(encoding.ids), expected["ids"]);
  EXPECT_EQ(Json(encoding.offsets), expected["offsets"]);
  EXPECT_EQ(tokenizer.decode(encoding.ids), expected["decoded"].get<std::string>());
  EXPECT_EQ(encoding.attention_mask.size(), encoding.ids.size());
  if (!expected.contains("type_ids")) return;
  EXPECT_EQ(Json(encoding.type_ids), expected["type_ids"]);
  EXPECT_EQ(Json(encoding.special_tokens_mask), expected["special_tokens_mask"]);
  EXPECT_EQ(tokenizer.decode(encoding.ids, false),
            expected["decoded_with_special"].get<std::string>());
}

/// Decodes token by token and expects the whole text at the end.
void expect_streamed(const std::shared_ptr<Tokenizer>& tokenizer, const Json& expected) {
  StreamDecoder stream(tokenizer);
  std::string streamed;
  for (const Json& id : expected["ids"]) streamed += stream.push(id.get<int64_t>());
  streamed += stream.finish();
  EXPECT_EQ(streamed, expected["decoded"].get<std::string>()) << expected["text"].dump();
}

TEST(Golden, TrainedTokenizersGivePythonsIdsOffsetsAndTexts) {
  for (const auto& [name, cases] : golden()["tokenizers"].items()) {
    SCOPED_TRACE(name);
    const auto tokenizer = Tokenizer::from_file(golden_folder() + name + ".json");
    ASSERT_GE(cases.size(), 100u);
    for (const Json& expected : cases) expect_case(*tokenizer, expected);
  }
}

TEST(Golden, EveryStageInItsVariantsGivesPythonsIdsOffsetsAndTexts) {
  ASSERT_GE(golden()["variants"].size(), 50u);
  for (const Json& variant : golden()["variants"]) {
    SCOPED_TRACE(variant["parts"].dump());
    Json json = tokenizer_json(variant["tokenizer"]);
    for (const auto& [key, part] : variant["parts"].items()) {
      if (key == "model") {
        json["model"].update(part);
      } else {
        json[key] = part;
      }
    }
    const auto tokenizer = make(json, "variant");
    for (const Json& expected : variant["cases"]) expect_case(*tokenizer, expected);
  }
}

TEST(Golden, StreamedTextIsTheDecodedText) {
  for (const auto& [name, cases] : golden()["tokenizers"].items()) {
    SCOPED_TRACE(name);
    const auto tokenizer = Tokenizer::from_file(golden_folder() + name + ".json");
    for (const Json& expected : cases) expect_streamed(tokenizer, expected);
  }
}

TEST(Golden, BatchesArePaddedAndCutAsInPython) {
  const auto tokenizer = Tokenizer::from_file(golden_folder() + "llama2.json");
  tokenizer->pad_id = 3;
  for (const Json& batch : golden()["batches"]) {
    const auto texts = batch["texts"].get<std::vector<std::string>>();
    const auto rows = tokenizer->encode_batch(
        texts, {.padding_side = batch["side"] == "left" ? Side::kLeft : Side::kRight,
                .max_length = batch["length"].get<size_t>()});
    ASSERT_EQ(rows.size(), texts.size());
    for (size_t i = 0; i < rows.size(); ++i) {
      SCOPED_TRACE(texts[i]);
      EXPECT_EQ(Json(rows[i].ids), batch["rows"][i]["ids"]);
      EXPECT_EQ(Json(rows[i].attention_mask), batch["rows"][i]["attention_mask"]);
      EXPECT_EQ(Json(rows[i].special_tokens_mask), batch["rows"][i]["special_tokens_mask"]);
    }
  }
}

}  // namespace
}  // namespace peft::tokenizers
