#include "peft/train/example.h"

#include <gtest/gtest.h>

#include "peft/base/error.h"

namespace peft::train {
namespace {

/// Bytes are tokens; 0 begins every text, '$' ends it. A conversation reads "<role:content>".
class ByteEncoder final : public TextEncoder {
 public:
  std::vector<int64_t> encode(const std::string& text) const override {
    std::vector<int64_t> ids = {0};
    for (const char byte : text) ids.push_back(byte);
    return ids;
  }

  EncodedChat encode_chat(const ChatRequest& request) const override {
    EncodedChat chat;
    const auto add = [&](const std::string& text, bool assistant) {
      for (const char byte : text) {
        chat.ids.push_back(byte);
        chat.assistant.push_back(assistant);
      }
    };
    for (const Json& message : request.messages) {
      const bool assistant = message["role"] == "assistant";
      add("<" + message["role"].get<std::string>() + ":", false);
      add(message["content"].get<std::string>() + ">", assistant);
    }
    if (request.add_generation_prompt) add("<assistant:", false);
    return chat;
  }

  std::string eos_token() const override { return "$"; }
};

DataRow row(const std::string& json) { return parse_row(Json::parse(json), "f.jsonl:1"); }

std::string text(const std::vector<int64_t>& ids) {
  std::string result;
  for (const int64_t id : ids)
    result += id == kIgnoreLabel ? '_' : (id == 0 ? '^' : static_cast<char>(id));
  return result;
}

TEST(Example, CompletionsAreLearntAndEndWithEos) {
  const ByteEncoder encoder;
  const Example example = make_example(row(R"({"prompt": "ab", "completion": "cd"})"), &encoder);
  EXPECT_EQ(text(example.input_ids), "^abcd$");
  EXPECT_EQ(text(example.labels), "___cd$");
  EXPECT_EQ(example.counted(), 3);
}

TEST(Example, TheWholeRowIsLearntWhereAskedFor) {
  const ByteEncoder encoder;
  const Example example = make_example(row(R"({"prompt": "ab", "completion": "cd"})"), &encoder,
                                       {.completion_only_loss = false});
  EXPECT_EQ(text(example.labels), "^abcd$");
  EXPECT_EQ(example.counted(), 5) << "nothing predicts the first token";
}

TEST(Example, EosIsNotAppendedTwice) {
  const ByteEncoder encoder;
  EXPECT_EQ(text(make_example(row(R"({"text": "a$"})"), &encoder).input_ids), "^a$");
  EXPECT_EQ(text(make_example(row(R"({"text": "a"})"), &encoder).input_ids), "^a$");
}

TEST(Example, MessageListsGoThroughTheTemplate) {
  const ByteEncoder encoder;
  const Example example = make_example(row(R"({"prompt": [{"role": "user", "content": "q"}],
                           "completion": [{"role": "assistant", "content": "a"}]})"),
                                       &encoder);
  EXPECT_EQ(text(example.input_ids), "<user:q><assistant:a>");
  EXPECT_EQ(text(example.labels), "___________________a>");
}

TEST(Example, AssistantOnlyLossCountsTheAssistantsWords) {
  const ByteEncoder encoder;
  const auto messages = row(R"({"messages": [{"role": "user", "content": "q"},
      {"role": "assistant", "content": "a"}, {"role": "user", "content": "r"},
      {"role": "assistant", "content": "b"}]})");
  const Example example = make_example(messages, &encoder, {.assistant_only_loss = true});
  EXPECT_EQ(text(example.labels), "___________________a>___________________b>");
  EXPECT_EQ(make_example(messages, &encoder).counted(), 41);
}

TEST(Example, AssistantOnlyLossWithoutAnAssistantIsAnErrorThatNamesTheLine) {
  const ByteEncoder encoder;
  try {
    make_example(row(R"({"messages": [{"role": "user", "content": "q"}]})"), &encoder,
                 {.assistant_only_loss = true});
    FAIL() << "no error";
  } catch (const ConfigError& error) {
    EXPECT_TRUE(std::string(error.what()).starts_with("f.jsonl:1")) << error.what();
  }
}

TEST(Example, AssistantOnlyLossRefusesPlainText) {
  const ByteEncoder encoder;
  EXPECT_THROW(make_example(row(R"({"text": "a"})"), &encoder, {.assistant_only_loss = true}),
               ConfigError);
  EXPECT_THROW(make_example(row(R"({"prompt": "a", "completion": "b"})"), &encoder,
                            {.assistant_only_loss = true}),
               ConfigError);
}

TEST(Example, TokenRowsNeedNoTokenizer) {
  const Example example = make_example(row(R"({"input_ids": [5, 6, 7]})"), nullptr);
  EXPECT_EQ(example.labels, example.input_ids);
  EXPECT_THROW(make_example(row(R"({"text": "a"})"), nullptr), ConfigError);
  EXPECT_THROW(make_example(row(R"({"input_ids": []})"), nullptr), ConfigError);
}

TEST(Example, LongRowsAreCutAndCounted) {
  const auto rows =
      std::vector<DataRow>{row(R"({"input_ids": [1, 2, 3, 4]})"), row(R"({"input_ids": [1, 2]})")};
  ExampleReport report;
  const auto examples = make_examples(rows, nullptr, {.max_length = 3}, &report);
  EXPECT_EQ(report.cut.rows, 1);
  EXPECT_EQ(report.cut.first, "f.jsonl:1");
  EXPECT_EQ(report.without_loss.rows, 0);
  EXPECT_EQ(examples[0].input_ids, (std::vector<int64_t>{1, 2, 3}));
  EXPECT_EQ(make_example(rows[0], nullptr, {.max_length = 0}).labels.size(), 4);
}

TEST(Example, RowsFromWhichNothingIsLearntAreReported) {
  const ByteEncoder encoder;
  ExampleReport report;
  make_examples(
      {row(R"({"input_ids": [1]})"), row(R"({"prompt": "abcd", "completion": "e"})"),
       row(R"({"input_ids": [1, 2], "labels": [1, -100]})"), row(R"({"input_ids": [1, 2]})")},
      &encoder, {.max_length = 4}, &report);
  EXPECT_EQ(report.without_loss.rows, 3);
  EXPECT_EQ(report.cut.rows, 1);
}

/// Two letters 'a' that stand side by side are one token.
class MergingEncoder final : public TextEncoder {
 public:
  std::vector<int64_t> encode(const std::string& text) const override {
    std::vector<int64_t> ids;
    for (size_t i = 0; i < text.size(); ++i) {
      const bool pair = text.compare(i, 2, "aa") == 0;
      ids.push_back(pair ? 1000 : text[i]);
      if (pair) ++i;
    }
    return ids;
  }
  EncodedChat encode_chat(const ChatRequest&) const override { return {}; }
  std::string eos_token() const override { return "$"; }
};

// Expected values: common_prefix_length of trl 1.16.0 over the same lists.
TEST(Example, ACompletionBeginsWhereItsTokensPartFromThePrompts) {
  const MergingEncoder encoder;
  const auto rows = std::vector<DataRow>{row(R"({"prompt": "ba", "completion": "ac"})"),
                                         row(R"({"prompt": "ba", "completion": "c"})")};
  ExampleReport report;
  const auto examples = make_examples(rows, &encoder, {}, &report);
  EXPECT_EQ(examples[0].input_ids, (std::vector<int64_t>{'b', 1000, 'c', '$'}));
  EXPECT_EQ(examples[0].labels, (std::vector<int64_t>{kIgnoreLabel, 1000, 'c', '$'}));
  EXPECT_EQ(examples[1].labels, (std::vector<int64_t>{kIgnoreLabel, kIgnoreLabel, 'c', '$'}));
  EXPECT_EQ(report.parted_prompts.rows, 1);
}

}  // namespace
}  // namespace peft::train
