#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "peft/tokenizers/models/model.h"

namespace peft::tokenizers {

/// The tokens of words seen before: a text has few different words. Forgets everything when full.
class WordCache {
 public:
  WordCache();

  /// The tokens of a word; null data() if it is not known. Valid until the next insert().
  std::span<const Token> find(std::string_view word);
  /// Remembers the word that find() has just not found. Long words are not worth it.
  void insert(std::string_view word, std::span<const Token> tokens);

  /// Appends the tokens of a word: those that are known, else those that `compute` appends.
  template <typename Compute>
  void append(std::string_view word, std::vector<Token>& tokens, const Compute& compute) {
    if (const auto known = find(word); known.data() != nullptr) {
      tokens.insert(tokens.end(), known.begin(), known.end());
      return;
    }
    const size_t from = tokens.size();
    compute();
    insert(word, {tokens.data() + from, tokens.size() - from});
  }

 private:
  struct Slot {
    uint32_t hash = 0;
    uint32_t length = 0;  // 0: free
    uint32_t letters = 0, tokens = 0, count = 0;
  };

  size_t slot_of(std::string_view word, uint32_t hash) const;
  void grow();
  void clear();

  std::vector<Slot> slots_;
  std::string letters_;
  std::vector<Token> tokens_;
  size_t used_ = 0;
};

/// The caches of a model: each session borrows one, and what it learns serves the next one.
class WordCachePool {
 public:
  class Borrowed {
   public:
    explicit Borrowed(WordCachePool& pool) : pool_(pool), cache_(pool.take()) {}
    ~Borrowed() { pool_.give_back(std::move(cache_)); }
    Borrowed(const Borrowed&) = delete;
    Borrowed& operator=(const Borrowed&) = delete;
    WordCache* operator->() { return cache_.get(); }

   private:
    WordCachePool& pool_;
    std::unique_ptr<WordCache> cache_;
  };

 private:
  std::unique_ptr<WordCache> take();
  void give_back(std::unique_ptr<WordCache> cache);

  std::mutex mutex_;
  std::vector<std::unique_ptr<WordCache>> idle_;
};

}  // namespace peft::tokenizers
