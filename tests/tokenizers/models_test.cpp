#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <thread>

#include "peft/base/error.h"
#include "peft/tokenizers/models/bpe.h"
#include "peft/tokenizers/models/merges.h"
#include "peft/tokenizers/models/vocabulary.h"
#include "peft/tokenizers/models/word_cache.h"

namespace peft::tokenizers {
namespace {

/// Merges as the definition says: the lowest rank, of equals the leftmost, until none is left.
std::vector<uint32_t> merge_slowly(std::vector<uint32_t> ids,
                                   const std::vector<MergeTable::Merge>& merges) {
  for (;;) {
    const MergeTable::Merge* best = nullptr;
    size_t place = 0;
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      for (const MergeTable::Merge& merge : merges) {
        if (merge.left != ids[i] || merge.right != ids[i + 1]) continue;
        if (best != nullptr && best->rank <= merge.rank) continue;
        best = &merge;
        place = i;
      }
    }
    if (best == nullptr) return ids;
    ids[place] = best->result;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(place) + 1);
  }
}

TEST(Merger, ShortAndLongWordsMergeAsTheDefinitionSays) {
  // Letters 0 to 3, and a merge for every pair of up to 12 tokens, each with a rank of its own.
  std::mt19937 random(5);
  std::vector<MergeTable::Merge> merges;
  uint32_t next = 4;
  while (merges.size() < 40) {
    const uint32_t left = random() % next, right = random() % next;
    const auto same = [&](const auto& merge) { return merge.left == left && merge.right == right; };
    if (std::any_of(merges.begin(), merges.end(), same)) continue;  // there the last one wins
    merges.push_back({left, right, static_cast<uint32_t>(merges.size()), next++});
  }
  const MergeTable table(merges);
  Merger merger(table);
  for (size_t length : {0, 1, 2, 7, 30, 48, 49, 50, 200, 1000}) {
    std::vector<Token> tokens = {{77, 1}};  // what stands before `from` is left alone
    std::vector<uint32_t> ids;
    for (size_t i = 0; i < length; ++i) {
      ids.push_back(random() % 4);
      tokens.push_back({ids.back(), 1});
    }
    merger.merge(tokens, 1);
    const std::vector<uint32_t> expected = merge_slowly(ids, merges);
    ASSERT_EQ(tokens.size(), expected.size() + 1) << length;
    EXPECT_EQ(tokens[0].id, 77u);
    size_t covered = 0;
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_EQ(tokens[i + 1].id, expected[i]);
      covered += tokens[i + 1].length;
    }
    EXPECT_EQ(covered, length);
  }
}

TEST(Vocabulary, FindsTokensBothWays) {
  const Vocabulary vocabulary({{"a", 0}, {"bc", 7}, {"", 3}}, "here");
  EXPECT_EQ(vocabulary.find("bc"), 7u);
  EXPECT_EQ(vocabulary.find(""), 3u);
  EXPECT_EQ(vocabulary.find("b"), std::nullopt);
  EXPECT_EQ(vocabulary.token(7), "bc");
  EXPECT_EQ(vocabulary.token(1), std::nullopt);
  EXPECT_EQ(vocabulary.token(8), std::nullopt);
  EXPECT_EQ(vocabulary.size(), 3u);
}

TEST(Vocabulary, OfTwoEqualTokensTheLastOneIsFound) {
  const Vocabulary vocabulary({{"a", 0}, {"a", 1}}, "here");
  EXPECT_EQ(vocabulary.find("a"), 1u);
  EXPECT_EQ(vocabulary.token(0), "a");
  EXPECT_EQ(vocabulary.size(), 1u);
}

TEST(Vocabulary, DoubledIdsHugeIdsAndBrokenTextsAreFormatErrors) {
  EXPECT_THROW(Vocabulary({{"a", 0}, {"b", 0}}, "here"), FormatError);
  EXPECT_THROW(Vocabulary({{"a", 4000000000u}}, "here"), FormatError);
  EXPECT_THROW(Vocabulary({{"\xFF", 0}}, "here"), FormatError);
}

TEST(WordCache, RemembersWordsAndForgetsWhenFull) {
  WordCache cache;
  EXPECT_EQ(cache.find("a").data(), nullptr);
  for (uint32_t i = 0; i < 200000; ++i) {
    const std::string word = "word" + std::to_string(i);
    ASSERT_EQ(cache.find(word).data(), nullptr);
    const Token tokens[] = {{i, 3}, {i + 1, 4}};
    cache.insert(word, tokens);
    const auto found = cache.find(word);
    ASSERT_EQ(found.size(), 2u);
    EXPECT_EQ(found[1].id, i + 1);
  }
  const Token token[] = {{1, 1}};
  const std::string long_word(1000, 'x');
  cache.insert(long_word, token);
  EXPECT_EQ(cache.find(long_word).data(), nullptr) << "long words are not kept";
}

/// "▁"-words over the letters a and b; "b▁" is a token too, so that no cut may part them.
Bpe marked_words() {
  std::vector<Vocabulary::Entry> entries = {{"▁", 0},  {"a", 1},  {"b", 2},
                                            {"▁a", 3}, {"b▁", 4}, {"<unk>", 5}};
  return Bpe(Vocabulary(entries, "here"), {{0, 1, 1, 3}, {2, 0, 0, 4}},
             {.unk_token = "<unk>", .fuse_unk = true});
}

std::vector<uint32_t> ids_of(const Bpe& model, std::string_view text) {
  std::vector<Token> tokens;
  model.open(false)->tokenize(text, tokens);
  std::vector<uint32_t> ids;
  for (const Token& token : tokens) ids.push_back(token.id);
  return ids;
}

TEST(Bpe, WordsAreOnlyCutApartWhereNoMergeJoinsThem) {
  const Bpe model = marked_words();
  using Ids = std::vector<uint32_t>;
  EXPECT_EQ(ids_of(model, "▁a▁a▁a"), (Ids{3, 3, 3}));
  EXPECT_EQ(ids_of(model, "▁ab▁a"), (Ids{3, 4, 1}));
  EXPECT_EQ(ids_of(model, "▁a▁▁a"), (Ids{3, 0, 3}));
  EXPECT_EQ(ids_of(model, "xyz▁a"), (Ids{5, 3})) << "unknown characters are one token";
  EXPECT_EQ(ids_of(model, "x▁x"), (Ids{5, 0, 5}));
}

TEST(Bpe, ManyThreadsShareOneModel) {
  const Bpe model = marked_words();
  const std::vector<uint32_t> expected = ids_of(model, "▁ab▁a▁a▁ab▁b");
  std::vector<std::thread> threads;
  std::vector<char> equal(8, 0);
  for (size_t t = 0; t < equal.size(); ++t) {
    threads.emplace_back([&, t] {
      bool all = true;
      for (int i = 0; i < 200; ++i) all = all && ids_of(model, "▁ab▁a▁a▁ab▁b") == expected;
      equal[t] = all;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(std::count(equal.begin(), equal.end(), 1), 8);
}

}  // namespace
}  // namespace peft::tokenizers
