#include "peft/generate/generate.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>
#include <torch/nn/module.h>

#include <algorithm>

#include "peft/base/error.h"
#include "peft/generate/logits.h"
#include "peft/tensor/call_tokens.h"

namespace peft {
namespace {

void check(const LanguageModelImpl& model, const std::vector<std::vector<int64_t>>& prompts) {
  const auto vocab = model.shape().vocab;
  for (size_t row = 0; row < prompts.size(); ++row) {
    if (prompts[row].empty()) {
      throw ConfigError(fmt::format(
          "generate: prompt {}: expected at least one token, got none. Begin with the BOS token.",
          row));
    }
    for (const auto token : prompts[row]) {
      if (token >= 0 && token < vocab) continue;
      throw ConfigError(fmt::format(
          "generate: prompt {}: expected tokens from 0 to {}, got {}. Check that the tokenizer "
          "belongs to the model.",
          row, vocab - 1, token));
    }
  }
}

bool has_stop_string(const std::vector<int64_t>& tokens, const GenerateOptions& options) {
  // A token that is a part of the stop string has at least one byte of it; the slack is for special
  // tokens, which decode to nothing.
  constexpr size_t kSlack = 16;
  size_t longest = 0;
  for (const auto& stop : options.stop_strings) longest = std::max(longest, stop.size());
  const auto tail = std::min(tokens.size(), longest + kSlack);
  const auto text = options.decode({tokens.end() - static_cast<int64_t>(tail), tokens.end()});
  return std::any_of(options.stop_strings.begin(), options.stop_strings.end(),
                     [&](const auto& stop) { return text.find(stop) != std::string::npos; });
}

// The rows that are still being written, and what the model has seen of them.
class Generation {
 public:
  Generation(LanguageModelImpl& model, const std::vector<std::vector<int64_t>>& prompts,
             const GenerateOptions& options)
      : model_(model), options_(options), rows_(prompts) {
    for (size_t row = 0; row < prompts.size(); ++row) owners_.push_back(static_cast<int64_t>(row));
    if (options.seed) random_ = at::detail::createCPUGenerator(*options.seed);
    done_.resize(prompts.size());
  }

  std::vector<Continuation> run() {
    if (rows_.empty() || options_.max_new_tokens == 0) return done_;
    auto scores = read_prompts();
    for (int64_t step = 0;; ++step) {
      const auto tokens = choose(scores, step);
      take(tokens);
      if (owners_.empty() || step + 1 == options_.max_new_tokens) return done_;
      scores = read_tokens();
    }
  }

 private:
  // [B, V] float32, for the token after the last one.
  at::Tensor last_scores(const LanguageModelInput& input) {
    const CallTokensScope scope(tokens_);
    if (options_.on_rows) options_.on_rows(owners_);
    const auto hidden = model_.hidden_states(input);
    return model_.head(hidden.select(1, hidden.size(1) - 1)).to(at::kFloat);
  }

  at::Tensor read_prompts() {
    size_t longest = 0, shortest = rows_.front().size();
    for (const auto& row : rows_) {
      longest = std::max(longest, row.size());
      shortest = std::min(shortest, row.size());
    }
    const auto batch = static_cast<int64_t>(rows_.size());
    const auto width = static_cast<int64_t>(longest);
    auto ids = at::full({batch, width}, options_.pad_token_id, at::kLong);
    auto mask = at::ones({batch, width + options_.max_new_tokens}, at::kLong);
    for (int64_t i = 0; i < batch; ++i) {
      const auto& row = rows_[static_cast<size_t>(i)];
      const auto length = static_cast<int64_t>(row.size());
      ids[i].narrow(0, width - length, length).copy_(at::tensor(row, at::kLong));
      mask[i].narrow(0, 0, width - length).zero_();
    }
    tokens_ = std::make_shared<CallTokens>(ids);
    cache_ = options_.cache_implementation == "static"
                 ? model_.new_static_cache(width + options_.max_new_tokens)
                 : model_.new_cache();
    seen_ = width;
    LanguageModelInput input{.input_ids = ids, .cache = cache_.get()};
    if (shortest < longest) {
      mask_ = mask;
      input.attention_mask = mask.narrow(1, 0, width);
      input.position_ids = (input.attention_mask.cumsum(1) - 1).clamp_min(0);
    }
    return last_scores(input);
  }

  at::Tensor read_tokens() {
    std::vector<int64_t> last, position;
    for (const auto& row : rows_) {
      last.push_back(row.back());
      position.push_back(static_cast<int64_t>(row.size()) - 1);
    }
    LanguageModelInput input{.input_ids = at::tensor(last, at::kLong).unsqueeze(1),
                             .cache = cache_.get()};
    if (mask_.defined()) {
      input.attention_mask = mask_.narrow(1, 0, seen_ + 1);
      input.position_ids = at::tensor(position, at::kLong).unsqueeze(1);
    }
    ++seen_;
    return last_scores(input);
  }

  at::Tensor choose(const at::Tensor& raw, int64_t step) {
    const auto scores = process_logits(raw, {.tokens = rows_, .new_tokens = step}, options_);
    if (!options_.do_sample) return scores.argmax(-1);
    return at::multinomial(scores.softmax(-1).to(at::kCPU), 1, false, random_).squeeze(1);
  }

  void take(const at::Tensor& tokens) {
    const auto chosen = tokens.to(at::kCPU);
    const auto* token = chosen.const_data_ptr<int64_t>();
    std::vector<int64_t> staying;
    for (size_t i = 0; i < rows_.size(); ++i) {
      rows_[i].push_back(token[i]);
      if (!ends(i, token[i])) staying.push_back(static_cast<int64_t>(i));
    }
    if (staying.size() < rows_.size()) keep(staying);
  }

  bool ends(size_t i, int64_t token) {
    auto& row = done_[static_cast<size_t>(owners_[i])];
    row.tokens.push_back(token);
    const auto& stops = options_.stop_token_ids;
    const bool go_on = !options_.on_token || options_.on_token(owners_[i], token);
    if (std::find(stops.begin(), stops.end(), token) != stops.end()) {
      row.reason = FinishReason::kStopToken;
    } else if (!options_.stop_strings.empty() && has_stop_string(row.tokens, options_)) {
      row.reason = FinishReason::kStopString;
    } else if (!go_on) {
      row.reason = FinishReason::kCallback;
    } else {
      return false;
    }
    return true;
  }

  void keep(const std::vector<int64_t>& staying) {
    std::vector<std::vector<int64_t>> rows;
    std::vector<int64_t> owners;
    for (const auto i : staying) {
      rows.push_back(std::move(rows_[static_cast<size_t>(i)]));
      owners.push_back(owners_[static_cast<size_t>(i)]);
    }
    rows_ = std::move(rows);
    owners_ = std::move(owners);
    if (rows_.empty()) return;
    const auto index = at::tensor(staying, at::kLong);
    cache_->select_rows(index);
    tokens_ = tokens_->select(staying);
    if (mask_.defined()) mask_ = mask_.index_select(0, index);
  }

  LanguageModelImpl& model_;
  const GenerateOptions& options_;
  std::vector<std::vector<int64_t>> rows_;  // prompt and new tokens of the rows in the batch
  std::vector<int64_t> owners_;             // the prompt that each of them continues
  std::vector<Continuation> done_;
  std::unique_ptr<KeyValueCache> cache_;
  int64_t seen_ = 0;  // tokens of a row, padding included; the cache may hold a prompt before them
  std::shared_ptr<const CallTokens> tokens_;  // those of the prompts of these rows
  at::Tensor mask_;  // [B, longest prompt + max_new_tokens]; undefined: no padding
  std::optional<at::Generator> random_;
};

}  // namespace

std::vector<Continuation> generate(LanguageModelImpl& model,
                                   const std::vector<std::vector<int64_t>>& prompts,
                                   const GenerateOptions& options) {
  options.validate();
  check(model, prompts);
  c10::InferenceMode inference;
  return Generation(model, prompts, options).run();
}

}  // namespace peft
