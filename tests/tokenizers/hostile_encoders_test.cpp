#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "peft/base/error.h"
#include "peft/base/file.h"
#include "peft/base/json_text.h"
#include "peft/tokenizers/normalizers/char_map.h"
#include "peft/tokenizers/sentencepiece/model_file.h"
#include "peft/tokenizers/sentencepiece/protobuf.h"
#include "peft/tokenizers/tokenizer.h"

// Files of encoders that are damaged or that were made to do harm.
namespace peft::tokenizers {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

template <typename Error, typename Action>
void expect_message(const Action& action, const std::string& part) {
  try {
    action();
    FAIL() << "no error that says " << part;
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr(part));
  }
}

/// A tokenizer.json of a model and one more part.
std::shared_ptr<Tokenizer> read(const std::string& model, const std::string& more = "") {
  return Tokenizer::from_json("{\"model\": " + model + more + "}", "tokenizer.json");
}

void expect_format_error(const std::string& model, const std::string& part,
                         const std::string& more = "") {
  expect_message<FormatError>([&] { read(model, more); }, part);
}

TEST(HostileEncoders, DamagedWordPieceModelsAreFormatErrors) {
  const auto model = [](const std::string& parts) {
    return R"({"type": "WordPiece", )" + parts + "}";
  };
  expect_format_error(model(R"("unk_token": "a")"), "'vocab' is missing");
  expect_format_error(model(R"("vocab": [])"), "model.vocab");
  expect_format_error(model(R"("vocab": {"a": -1})"), "model.vocab");
  expect_format_error(model(R"("vocab": {"a": 2000000000})"), "out of range");
  expect_format_error(model(R"("vocab": {"a": 0, "b": 0})"), "used twice");
  expect_format_error(model(R"("vocab": {}, "max_input_chars_per_word": -1)"),
                      "max_input_chars_per_word");
  expect_format_error(model(R"("vocab": {")" + std::string(5000, 'x') + R"(": 0})"), "too long");
  EXPECT_THROW(read(model(R"("vocab": {"a": 0})"))->encode("b"), FormatError);
}

TEST(HostileEncoders, DamagedWordLevelModelsAreFormatErrors) {
  const auto model = [](const std::string& parts) {
    return R"({"type": "WordLevel", )" + parts + "}";
  };
  expect_format_error(model(R"("unk_token": "a")"), "'vocab' is missing");
  expect_format_error(model(R"("vocab": {"a": 0})"), "'unk_token' is missing");
  expect_format_error(model(R"("vocab": {"a": 0}, "unk_token": null)"), "model.unk_token");
  expect_format_error(model(R"("vocab": ["a"], "unk_token": "a")"), "model.vocab");
  const auto words = read(model(R"("vocab": {"a": 0}, "unk_token": "[UNK]")"));
  EXPECT_EQ(words->encode("a").ids, std::vector<int64_t>{0});
  expect_message<FormatError>([&] { words->encode("b"); }, "[UNK]");
}

TEST(HostileEncoders, DamagedUnigramModelsAreFormatErrors) {
  const auto model = [](const std::string& parts) {
    return R"({"type": "Unigram", )" + parts + "}";
  };
  expect_format_error(model(R"("unk_id": 0)"), "'vocab' is missing");
  expect_format_error(model(R"("vocab": {})"), "model.vocab: expected a list");
  for (const char* entry : {R"(["a"])", R"(["a", "b"])", R"([1, 2])", R"("a")", "null"}) {
    expect_format_error(model(R"("vocab": [["x", 0], )" + std::string(entry) + "]"), "entry 1");
  }
  expect_format_error(model(R"("unk_id": 0, "vocab": [])"), "the list is empty");
  expect_format_error(model(R"("unk_id": 1, "vocab": [["a", 0]])"), "model.unk_id");
  expect_format_error(model(R"("unk_id": -1, "vocab": [["a", 0]])"), "model.unk_id");
  expect_format_error(model(R"("vocab": [["a", 1e999]])"), "tokenizer.json");
  expect_message<FormatError>([&] { read(model(R"("vocab": [["a", 0]])"))->encode("b"); },
                              "no unk_id");
}

TEST(HostileEncoders, DamagedPostProcessorsAreFormatErrors) {
  const std::string model = R"({"type": "WordPiece", "vocab": {"a": 0}})";
  const auto pair = [](const std::string& pieces) {
    return R"(, "post_processor": {"type": "TemplateProcessing", "single": [], "special_tokens": {}, "pair": )" +
           pieces + "}";
  };
  const std::string first = R"({"Sequence": {"id": "A", "type_id": 0}})";
  expect_format_error(model, "pair[1].Sequence: the text is there twice",
                      pair("[" + first + ", " + first + "]"));
  expect_format_error(model, "expected 'A' or 'B'",
                      pair(R"([{"Sequence": {"id": "C", "type_id": 0}}])"));
  expect_format_error(model, "not among the special_tokens",
                      pair(R"([{"SpecialToken": {"id": "x", "type_id": 0}}])"));
  expect_format_error(
      model, "post_processor.sep",
      R"(, "post_processor": {"type": "BertProcessing", "cls": ["a", 0], "sep": 7})");
  expect_format_error(model, "truncation.strategy",
                      R"(, "truncation": {"max_length": 3, "strategy": "Longest"})");
}

std::string little_endian_bytes(std::initializer_list<uint32_t> numbers) {
  std::string bytes;
  for (const uint32_t number : numbers) {
    for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(number >> shift & 0xFF);
  }
  return bytes;
}

TEST(HostileEncoders, DamagedCharacterMapsAreFormatErrors) {
  const std::string model = R"({"type": "WordPiece", "vocab": {"a": 0}})";
  const auto map = [](const std::string& base64) {
    return R"(, "normalizer": {"type": "Precompiled", "precompiled_charsmap": )" + base64 + "}";
  };
  expect_format_error(model, "wrong type: expected a string", map("7"));
  for (const char* text : {"\"A\"", "\"A*==\"", "\"AAAA=AAA\"", "\"A=======\""}) {
    expect_format_error(model, "expected base64", map(text));
  }
  expect_format_error(model, "at least 4 bytes", map("\"AAAA\""));
  expect_format_error(model, "wrong length of the double array", map("\"AAAAAA==\""));
  expect_format_error(model, "wrong length of the double array", map("\"/////w==\""));
  expect_message<FormatError>(
      [] {
        CharMap(little_endian_bytes({4, 0}) + "\xFF", "here");
      },
      "not UTF-8");
}

TEST(HostileEncoders, ACharacterMapThatLeadsOutOfItselfIsAFormatErrorWhereItDoes) {
  const CharMap root_leads_out(little_endian_bytes({4, 5 << 10}), "here");
  expect_message<FormatError>([&] { root_leads_out.find("a"); }, "leads out of itself");
  EXPECT_EQ(root_leads_out.find(""), std::nullopt);
  EXPECT_EQ(root_leads_out.find(std::string_view("\0", 1)), std::nullopt);
}

TEST(HostileEncoders, AReplacementMustStartAtACharacter) {
  // "\x01" leads from unit 0 (children at 2) to unit 3, and that (children at 1) to its value.
  const auto map = [](uint32_t value) {
    const std::string units =
        little_endian_bytes({16, 2u << 10, 0x80000000u | value, 0, 1u | 1u << 8 | 2u << 10});
    return CharMap(units + "\u00e9z" + std::string(1, '\0') + "y", "here");
  };
  EXPECT_EQ(map(0).find("\x01"), "\u00e9z");
  EXPECT_EQ(map(2).find("\x01\x02"), "z");
  EXPECT_EQ(map(4).find("\x01"), "y");
  EXPECT_EQ(map(5).find("\x01"), "");
  EXPECT_EQ(map(0).find("\x02"), std::nullopt);
  expect_message<FormatError>([&] { map(1).find("\x01"); }, "starts at no character");
  expect_message<FormatError>([&] { map(6).find("\x01"); }, "starts at no character");
}

TEST(HostileEncoders, ProtocolBuffersAreReadFieldByField) {
  // 1: 150, 2: "ab", 3: a float of 1.5, 4: a double, which nobody asks for
  const std::string bytes = std::string("\x08\x96\x01\x12\x02", 5) + "ab" +
                            std::string("\x1d\x00\x00\xc0\x3f", 5) + "\x21" + std::string(8, '\0');
  ProtobufReader reader(bytes, "here");
  ASSERT_TRUE(reader.next());
  EXPECT_EQ(reader.field(), 1u);
  EXPECT_EQ(reader.integer(), 150);
  expect_message<FormatError>([&] { reader.bytes(); }, "field 1 has the wrong kind");
  ASSERT_TRUE(reader.next());
  EXPECT_EQ(reader.text(), "ab");
  ASSERT_TRUE(reader.next());
  EXPECT_EQ(reader.number(), 1.5f);
  ASSERT_TRUE(reader.next());
  EXPECT_EQ(reader.field(), 4u);
  EXPECT_FALSE(reader.next());
  ProtobufReader negative(std::string("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11), "here");
  ASSERT_TRUE(negative.next());
  EXPECT_EQ(negative.integer(), -1);
}

void expect_spm_error(const std::string& bytes, const std::string& part) {
  expect_message<FormatError>([&] { read_sentencepiece_model(bytes, "tokenizer.model"); }, part);
  expect_message<FormatError>([&] { read_sentencepiece_model(bytes, "tokenizer.model"); },
                              "tokenizer.model");
}

TEST(HostileEncoders, DamagedSentencePieceModelsAreFormatErrors) {
  expect_spm_error("", "expected pieces, got none");
  expect_spm_error("\x0a", "cut off");
  expect_spm_error(
      "\x0a\x05"
      "ab",
      "cut off");
  expect_spm_error("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "cut off");
  expect_spm_error(std::string(20, '\xff'), "too long");
  expect_spm_error(std::string(2, '\0'), "expected a field from 1");
  expect_spm_error("\x0b\x0c", "wire type 0, 1, 2 or 5, got 3");
  expect_spm_error("\x08\x01", "field 1 has the wrong kind");
  expect_spm_error("\x0a\x03\x0a\x01\xff", "field 1 is no text");
  expect_spm_error("\x12\x02\x18\x09", "model_type: expected a number from 1 to 4, got 9");
  expect_spm_error("{\"model\": 1}", "wire type");
}

std::string one_piece(const std::string& text, const std::string& trainer = "") {
  const std::string piece = std::string("\x0a") + static_cast<char>(text.size()) + text;
  return "\x0a" + std::string(1, static_cast<char>(piece.size())) + piece + "\x12" +
         std::string(1, static_cast<char>(trainer.size())) + trainer;
}

TEST(HostileEncoders, SentencePieceModelsThatDoNotFitTheirClassAreErrors) {
  const auto make = [](const std::string& bytes, const char* name) {
    return Tokenizer::from_sentencepiece(bytes, {{"tokenizer_class", name}}, "tokenizer.model");
  };
  expect_message<FormatError>(
      [&] { make(one_piece("a", "\xc0\x02\x05"), "PreTrainedTokenizerFast"); },
      "the unknown token is out of range");
  expect_message<UnsupportedError>([&] { make(one_piece("a"), "GemmaTokenizer"); },
                                   "expected LlamaTokenizer, T5Tokenizer");
  EXPECT_THROW(Tokenizer::from_sentencepiece(one_piece("a"), {{"tokenizer_class", 7}}, "x"),
               FormatError);
}

class Folders : public testing::Test {
 protected:
  void SetUp() override {
    folder = fs::path(PEFT_BINARY_DIR) / "tests" / "folders_without_tokenizer_json";
    fs::remove_all(folder);
    fs::create_directories(folder);
  }
  void write(const char* name, const std::string& text) const {
    write_file_atomically(folder / name, text);
  }

  fs::path folder;
};

TEST_F(Folders, AnEmptyFolderIsNotFoundAndTheFilesAreNamed) {
  EXPECT_FALSE(Tokenizer::is_in_folder(folder));
  expect_message<NotFoundError>(
      [&] { Tokenizer::from_folder(folder); },
      "tokenizer.json, tokenizer.model, vocab.txt, or vocab.json and merges.txt");
}

TEST_F(Folders, DamagedVocabulariesAreFormatErrors) {
  write("vocab.txt", "[UNK]\n[CLS]\n[SEP]\n\xff\n");
  expect_message<FormatError>([&] { Tokenizer::from_folder(folder); }, "expected lines in UTF-8");
  write("vocab.txt", "[UNK]\n[CLS]\na\n");
  EXPECT_EQ(Tokenizer::from_folder(folder)->token_to_id("[SEP]"), 3);  // added behind
  write("tokenizer_config.json", "[]");
  expect_message<FormatError>([&] { Tokenizer::from_folder(folder); }, "expected an object");
  write("tokenizer_config.json", R"({"do_lower_case": "yes"})");
  expect_message<FormatError>([&] { Tokenizer::from_folder(folder); }, "do_lower_case");
  write("tokenizer_config.json", R"({"cls_token": 7})");
  expect_message<FormatError>([&] { Tokenizer::from_folder(folder); }, "cls_token");
  write("tokenizer_config.json", R"({"added_tokens_decoder": {"x": {"content": "a"}}})");
  expect_message<FormatError>([&] { Tokenizer::from_folder(folder); }, "expected ids, got 'x'");
  write("tokenizer_config.json", R"({"tokenizer_class": "MPNetTokenizer"})");
  expect_message<UnsupportedError>([&] { Tokenizer::from_folder(folder); }, "'BertTokenizer'");
}

TEST_F(Folders, DamagedMergesAreFormatErrors) {
  write("config.json", R"({"model_type": "roberta"})");
  write("vocab.json", R"({"<s>": 0, "</s>": 1, "a": 2, "b": 3, "ab": 4})");
  EXPECT_FALSE(Tokenizer::is_in_folder(folder));  // the merges are missing
  write("merges.txt", "#version: 0.2\na b\n");
  EXPECT_EQ(Tokenizer::from_folder(folder)->encode("ab").ids, (std::vector<int64_t>{0, 4, 1}));
  write("merges.txt", "a c\n");
  expect_message<FormatError>([&] { Tokenizer::from_folder(folder); }, "merge 0 names 'c'");
  write("merges.txt", "ab\n");
  expect_message<FormatError>([&] { Tokenizer::from_folder(folder); }, "merge 0 is wrong");
  write("merges.txt", "\xff\n");
  expect_message<FormatError>([&] { Tokenizer::from_folder(folder); }, "not a list of merges");
  write("vocab.json", "[]");
  write("merges.txt", "");
  expect_message<FormatError>([&] { Tokenizer::from_folder(folder); }, "vocab.json");
  write("config.json", R"({"model_type": "clip"})");
  expect_message<UnsupportedError>([&] { Tokenizer::from_folder(folder); }, "'GPT2Tokenizer'");
}

TEST_F(Folders, OldFilesOfSpecialTokensAreRead) {
  write("vocab.txt", "<unk>\n<cls>\n<sep>\na\n<m>\n");
  write("special_tokens_map.json",
        R"({"unk_token": "<unk>", "cls_token": {"content": "<cls>"}, "sep_token": "<sep>",
            "mask_token": "<m>", "pad_token": "<unk>"})");
  write("tokenizer_config.json", R"({"do_lower_case": true})");
  const auto tokenizer = Tokenizer::from_folder(folder);
  EXPECT_EQ(tokenizer->encode("A <m> b").ids, (std::vector<int64_t>{1, 3, 4, 0, 2}));
  EXPECT_EQ(tokenizer->mask_id, 4);
  write("added_tokens.json", R"({"<new>": 5, "<m>": 4})");
  const auto more = Tokenizer::from_folder(folder);
  EXPECT_EQ(more->encode("a<new>").ids, (std::vector<int64_t>{1, 3, 5, 2}));
  EXPECT_FALSE(more->is_special(5));
  EXPECT_TRUE(more->is_special(4));
  write("added_tokens.json", R"({"<new>": -5})");
  expect_message<FormatError>([&] { Tokenizer::from_folder(folder); }, "added_tokens.json.<new>");
  // A config that lists them is the newer form.
  write("tokenizer_config.json", R"({"added_tokens_decoder": {}, "unk_token": "<unk>",
      "cls_token": "<cls>", "sep_token": "<sep>"})");
  EXPECT_EQ(Tokenizer::from_folder(folder)->token_to_id("<new>"), std::nullopt);
}

TEST_F(Folders, ATokenizerJsonIsTakenFirstAndCutsOnlyWhereAsked) {
  write("vocab.txt", "[UNK]\n");
  write("tokenizer.json",
        R"({"truncation": {"max_length": 2}, "pre_tokenizer": {"type": "FixedLength", "length": 1},
            "model": {"type": "WordPiece", "vocab": {"a": 0}}})");
  const auto tokenizer = Tokenizer::from_folder(folder);
  EXPECT_EQ(tokenizer->encode("aaaa").ids.size(), 4u);
  EXPECT_EQ(tokenizer->encode("aaaa", {.max_length = 3}).ids.size(), 3u);
  EXPECT_EQ(Tokenizer::from_file(folder / "tokenizer.json")->encode("aaaa").ids.size(), 2u);
}

}  // namespace
}  // namespace peft::tokenizers
