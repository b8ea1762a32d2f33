#include "peft/tokenizers/tokenizer.h"

namespace peft::tokenizers {
namespace {

/// A text that ends so may be half a character: more bytes can still come.
constexpr std::string_view kReplacement = "\uFFFD";

/// A broken character this many tokens back will not be mended by another token.
constexpr size_t kMostPending = 16;

}  // namespace

StreamDecoder::StreamDecoder(std::shared_ptr<const Tokenizer> tokenizer, bool skip_special_tokens)
    : tokenizer_(std::move(tokenizer)), skip_special_tokens_(skip_special_tokens) {}

// A decoder may treat the first token of a text differently, so the text of new tokens is what they
// add to the text of the few tokens before them.
// Source: tokenizers src/tokenizer/mod.rs step_decode_stream
std::string StreamDecoder::push(int64_t id) {
  ids_.push_back(id);
  const auto text_from = [this](size_t begin, size_t end) {
    return tokenizer_->decode({ids_.begin() + static_cast<std::ptrdiff_t>(begin),
                               ids_.begin() + static_cast<std::ptrdiff_t>(end)},
                              skip_special_tokens_);
  };
  const std::string before = text_from(prefix_, read_);
  const std::string now = text_from(prefix_, ids_.size());
  if (now.size() <= before.size()) return "";
  if (now.ends_with(kReplacement) && ids_.size() - read_ < kMostPending) return "";
  // What was given out stays: if the decoder takes it back, wait.
  if (!now.starts_with(before)) return "";
  std::string added = now.substr(before.size());
  ids_.erase(ids_.begin(), ids_.begin() + static_cast<std::ptrdiff_t>(read_));
  prefix_ = 0;
  read_ = ids_.size();
  return added;
}

std::string StreamDecoder::finish() {
  const std::vector<int64_t> known(ids_.begin(), ids_.begin() + static_cast<std::ptrdiff_t>(read_));
  const std::string before = tokenizer_->decode(known, skip_special_tokens_);
  const std::string now = tokenizer_->decode(ids_, skip_special_tokens_);
  ids_.clear();
  prefix_ = read_ = 0;
  return now.size() > before.size() ? now.substr(before.size()) : "";
}

}  // namespace peft::tokenizers
