#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <thread>

#include "peft/base/error.h"
#include "peft/tokenizers/models/trie.h"
#include "peft/tokenizers/models/unigram.h"
#include "peft/tokenizers/models/wordlevel.h"
#include "peft/tokenizers/models/wordpiece.h"

namespace peft::tokenizers {
namespace {

using Entries = std::vector<Vocabulary::Entry>;

TEST(Trie, OneWalkMeetsEveryTokenThatATextBeginsWith) {
  const Trie trie({{"a", 0}, {"ab", 1}, {"abc", 2}, {"b", 3}, {"\xC3\xA9", 4}, {"ab", 5}, {"", 6}},
                  "here");
  std::vector<uint32_t> met;
  Trie::Node node = Trie::root();
  for (const char byte : std::string("abd")) {
    node = trie.step(node, byte);
    if (node == Trie::kNone) break;
    met.push_back(trie.id(node));
  }
  EXPECT_EQ(met, (std::vector<uint32_t>{0, 5}));  // of two equal tokens the last
  EXPECT_EQ(trie.id(Trie::root()), 6u);
  EXPECT_EQ(trie.id(trie.walk(Trie::root(), "\xC3\xA9")), 4u);
  EXPECT_EQ(trie.id(trie.walk(Trie::root(), "\xC3")), Trie::kNone);
  EXPECT_EQ(trie.walk(Trie::root(), "abcd"), Trie::kNone);
}

TEST(Trie, ATokenOfAbsurdLengthIsAFormatError) {
  const std::string longest(4096, 'x'), longer(4097, 'x');
  EXPECT_EQ(Trie({{longest, 3}}, "here").walk(Trie::root(), longest), 4096u);
  EXPECT_THROW(Trie({{longer, 3}}, "here"), FormatError);
}

std::vector<uint32_t> ids_of(const Model& model, const std::string& text) {
  std::vector<Token> tokens;
  model.open(false)->tokenize(text, tokens);
  std::vector<uint32_t> ids;
  for (const Token& token : tokens) ids.push_back(token.id);
  return ids;
}

TEST(WordPiece, TakesTheLongestTokenAtEachPlace) {
  const WordPiece model(
      Entries{{"[UNK]", 0}, {"un", 1}, {"##aff", 2}, {"##able", 3}, {"##a", 4}, {"##ff", 5}}, {},
      "here");
  EXPECT_EQ(ids_of(model, "unaffable"), (std::vector<uint32_t>{1, 2, 3}));
  EXPECT_EQ(ids_of(model, "unaff"), (std::vector<uint32_t>{1, 2}));
  EXPECT_EQ(ids_of(model, "una"), (std::vector<uint32_t>{1, 4}));
}

TEST(WordPiece, AWordThatIsNotCoveredIsUnknownAsAWhole) {
  const WordPiece model(Entries{{"[UNK]", 0}, {"un", 1}, {"##able", 2}, {"##", 3}}, {}, "here");
  EXPECT_EQ(ids_of(model, "unx"), (std::vector<uint32_t>{0}));
  EXPECT_EQ(ids_of(model, "unablex"), (std::vector<uint32_t>{0}));
  // "##" alone covers nothing.
  EXPECT_EQ(ids_of(model, "un#"), (std::vector<uint32_t>{0}));
}

TEST(WordPiece, CountsTheCharactersOfLongWords) {
  const WordPiece model(Entries{{"[UNK]", 0}, {"\u00e9", 1}, {"##\u00e9", 2}},
                        {.max_input_chars_per_word = 3}, "here");
  EXPECT_EQ(ids_of(model, "\u00e9\u00e9\u00e9"), (std::vector<uint32_t>{1, 2, 2}));
  EXPECT_EQ(ids_of(model, "\u00e9\u00e9\u00e9\u00e9"), (std::vector<uint32_t>{0}));
}

TEST(WordPiece, AModelWithoutItsUnknownTokenFailsWhereItIsNeeded) {
  const WordPiece model(Entries{{"a", 0}}, {}, "here");
  EXPECT_EQ(ids_of(model, "a"), (std::vector<uint32_t>{0}));
  EXPECT_THROW(ids_of(model, "b"), FormatError);
}

TEST(WordLevel, APieceIsOneTokenOrTheUnknownOne) {
  const WordLevel model(Entries{{"[UNK]", 0}, {"un", 1}, {"\u0120caf\u00c3\u00a9", 2}}, "[UNK]",
                        "here");
  EXPECT_EQ(ids_of(model, "un"), (std::vector<uint32_t>{1}));
  EXPECT_EQ(ids_of(model, "unun"), (std::vector<uint32_t>{0}));
  std::vector<Token> tokens;
  model.open(true)->tokenize(" caf\u00e9", tokens);  // bytes, looked up as what stands for them
  ASSERT_EQ(tokens.size(), 1u);
  EXPECT_EQ(tokens[0].id, 2u);
  EXPECT_EQ(tokens[0].length, 6u);
}

/// The highest sum of scores of any way to cut a text.
double best_sum(const std::string& text, const std::map<std::string, double>& scores,
                double other) {
  std::vector<double> best(text.size() + 1, -1e9);
  best[0] = 0;
  for (size_t begin = 0; begin < text.size(); ++begin) {
    for (size_t end = begin + 1; end <= text.size(); ++end) {
      const auto found = scores.find(text.substr(begin, end - begin));
      if (found == scores.end() && end > begin + 1) continue;
      const double score = found == scores.end() ? other : found->second;
      best[end] = std::max(best[end], best[begin] + score);
    }
  }
  return best.back();
}

TEST(Unigram, NoWayToCutATextHasAHigherSumOfScores) {
  std::mt19937 random(7);
  std::uniform_real_distribution<double> score(-10, -1);
  std::map<std::string, double> scores;
  while (scores.size() < 40) {
    std::string token;
    for (size_t i = 0, n = 1 + random() % 4; i < n; ++i)
      token += static_cast<char>('a' + random() % 4);
    scores[token] = score(random);
  }
  scores.erase("d");  // unknown alone
  std::vector<Unigram::Scored> tokens = {{"<unk>", 0}};
  double lowest = 0;
  for (const auto& [token, value] : scores) {
    tokens.push_back({token, value});
    lowest = std::min(lowest, value);
  }
  const Unigram model(tokens, {.unk_id = 0}, "here");
  for (int trial = 0; trial < 300; ++trial) {
    std::string text;
    for (size_t i = 0, n = 1 + random() % 30; i < n; ++i)
      text += static_cast<char>('a' + random() % 4);
    std::vector<Token> found;
    model.open(false)->tokenize(text, found);
    double sum = 0;
    size_t at = 0;
    for (const Token& token : found) {
      // Unknown characters side by side are one token.
      sum += token.id == 0 ? token.length * (lowest - 10) : tokens[token.id].score;
      at += token.length;
    }
    EXPECT_EQ(at, text.size());
    EXPECT_NEAR(sum, best_sum(text, scores, lowest - 10), 1e-9) << text;
  }
}

TEST(Unigram, UnknownCharactersAreOneTokenOrTheirBytes) {
  std::vector<Unigram::Scored> tokens = {{"<unk>", 0}, {"a", -1}, {"<0xC3>", -5}, {"<0xA9>", -5}};
  const std::string text =
      "a\u00e9\u00e9"
      "a";
  EXPECT_EQ(ids_of(Unigram(tokens, {.unk_id = 0}, "here"), text), (std::vector<uint32_t>{1, 0, 1}));
  const Unigram bytes(tokens, {.unk_id = 0, .byte_fallback = true}, "here");
  EXPECT_EQ(ids_of(bytes, text), (std::vector<uint32_t>{1, 2, 3, 2, 3, 1}));
  // A character one of whose bytes is no token is unknown as ever.
  EXPECT_EQ(ids_of(bytes, "\u00e9\u00ea"), (std::vector<uint32_t>{0}));
  EXPECT_THROW(ids_of(Unigram(tokens, {}, "here"), text), FormatError);
}

TEST(Unigram, EqualTokensCountAsInPython) {
  const Unigram model({{"a", -1}, {"b", -1}, {"a", -2}}, {.unk_id = 0}, "here");
  EXPECT_EQ(model.token_to_id("a"), 2u);
  EXPECT_EQ(model.id_to_token(0), "a");
  EXPECT_EQ(model.size(), 3u);
  EXPECT_EQ(ids_of(model, "ab"), (std::vector<uint32_t>{2, 1}));
}

TEST(Unigram, SessionsOnManyThreadsGiveTheSame) {
  const Unigram model({{"<unk>", 0}, {"ab", -1}, {"a", -2}, {"b", -2}, {"ba", -1.5}}, {.unk_id = 0},
                      "here");
  const std::vector<uint32_t> expected = ids_of(model, "abbaabab");
  std::vector<std::thread> threads;
  std::vector<int> same(4, 0);
  for (size_t i = 0; i < same.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 200; ++round) same[i] += ids_of(model, "abbaabab") == expected;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(same, std::vector<int>(4, 200));
}

}  // namespace
}  // namespace peft::tokenizers
