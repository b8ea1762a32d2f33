#include <fmt/core.h>

#include <algorithm>
#include <limits>

#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/tokenizers/decoders/stages.h"
#include "peft/tokenizers/metaspace.h"
#include "peft/tokenizers/pattern.h"
#include "peft/tokenizers/unicode.h"

// The decoders for tokens that are pieces of words.
namespace peft::tokenizers {
namespace {

/// By how much one Replace may lengthen a text: stages that pile up ("a" by "aa", sixty times)
/// would fill the memory.
constexpr size_t kMostGrowth = size_t{4} << 20;

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  if (from.empty()) return;
  std::string replaced;
  size_t done = 0;
  for (size_t at; (at = text.find(from, done)) != std::string::npos; done = at + from.size()) {
    replaced.append(text, done, at - done).append(to);
  }
  if (done > 0) text = replaced.append(text, done);
}

class Fuse : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::string all;
    for (const std::string& token : tokens) all += token;
    tokens.assign(1, std::move(all));
  }
};

/// Marks become blanks; those of the first token vanish where encoding had put one there.
class MetaspaceDecoder : public Decoder {
 public:
  explicit MetaspaceDecoder(MetaspaceOptions options) : options_(std::move(options)) {}

  void apply(std::vector<std::string>& tokens) const override {
    const bool prepended = options_.prepend_scheme != PrependScheme::kNever;
    for (size_t i = 0; i < tokens.size(); ++i) {
      replace_all(tokens[i], options_.replacement, i == 0 && prepended ? "" : " ");
    }
  }

 private:
  MetaspaceOptions options_;
};

class ReplaceDecoder : public Decoder {
 public:
  ReplaceDecoder(Pattern pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}

  void apply(std::vector<std::string>& tokens) const override {
    size_t growth = 0;
    for (std::string& token : tokens) {
      std::string replaced;
      size_t done = 0;
      const auto matches = pattern_.matches(token);
      while (const auto match = matches(done)) {
        growth += content_.size() - std::min(content_.size(), match->size());
        if (growth > kMostGrowth) fail_growth();
        replaced.append(token, done, match->begin - done).append(content_);
        done = match->end;
      }
      token = replaced.append(token, done);
    }
  }

 private:
  [[noreturn]] static void fail_growth() {
    throw FormatError(fmt::format(
        "tokenizer: the decoder Replace makes the text too long: expected at most {} more, got "
        "more than that. Look for it in the tokenizer's file.",
        human_bytes(kMostGrowth)));
  }

  Pattern pattern_;
  std::string content_;
};

/// Takes at most so many of one character from the start and the end of every token.
class StripDecoder : public Decoder {
 public:
  StripDecoder(std::string content, size_t start, size_t stop)
      : content_(std::move(content)), start_(start), stop_(stop) {}

  void apply(std::vector<std::string>& tokens) const override {
    for (std::string& token : tokens) {
      std::string_view rest = token;
      for (size_t i = 0; i < start_ && rest.starts_with(content_); ++i) {
        rest.remove_prefix(content_.size());
      }
      for (size_t i = 0; i < stop_ && rest.ends_with(content_); ++i) {
        rest.remove_suffix(content_.size());
      }
      token = std::string(rest);
    }
  }

 private:
  std::string content_;
  size_t start_, stop_;
};

/// The mark of a word's end becomes a blank, at the very end nothing.
class BpeDecoder : public Decoder {
 public:
  explicit BpeDecoder(std::string suffix) : suffix_(std::move(suffix)) {}

  void apply(std::vector<std::string>& tokens) const override {
    for (size_t i = 0; i < tokens.size(); ++i) {
      replace_all(tokens[i], suffix_, i + 1 == tokens.size() ? "" : " ");
    }
  }

 private:
  std::string suffix_;
};

class WordPieceDecoder : public Decoder {
 public:
  WordPieceDecoder(std::string prefix, bool cleanup)
      : prefix_(std::move(prefix)), cleanup_(cleanup) {}

  void apply(std::vector<std::string>& tokens) const override {
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (i > 0 && tokens[i].starts_with(prefix_)) {
        tokens[i].erase(0, prefix_.size());
      } else if (i > 0) {
        tokens[i].insert(0, " ");
      }
      if (cleanup_) clean_up(tokens[i]);
    }
  }

 private:
  static void clean_up(std::string& text) {
    static constexpr std::pair<std::string_view, std::string_view> kEnglish[] = {
        {" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
        {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
        {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    for (const auto& [from, to] : kEnglish) replace_all(text, from, to);
  }

  std::string prefix_;
  bool cleanup_;
};

}  // namespace

DecoderPtr make_fuse(const JsonView&) { return std::make_unique<Fuse>(); }

DecoderPtr make_metaspace_decoder(const JsonView& json) {
  return std::make_unique<MetaspaceDecoder>(read_metaspace(json));
}

DecoderPtr make_replace_decoder(const JsonView& json) {
  return std::make_unique<ReplaceDecoder>(Pattern(json.at("pattern")), json.at("content").string());
}

DecoderPtr make_strip_decoder(const JsonView& json) {
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  const std::string content = json.at("content").string();
  if (count_characters(content) != 1) {
    json.at("content").fail("expected one character, got " + quote(content));
  }
  return std::make_unique<StripDecoder>(content,
                                        static_cast<size_t>(json.at("start").integer(kMost)),
                                        static_cast<size_t>(json.at("stop").integer(kMost)));
}

DecoderPtr make_bpe_decoder(const JsonView& json) {
  return std::make_unique<BpeDecoder>(json.string("suffix", "</w>"));
}

DecoderPtr make_word_piece_decoder(const JsonView& json) {
  return std::make_unique<WordPieceDecoder>(json.string("prefix", "##"),
                                            json.boolean("cleanup", true));
}

}  // namespace peft::tokenizers
