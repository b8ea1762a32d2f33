#include "peft/generate/step_reader.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "peft/base/error.h"
#include "peft/tensor/call_tokens.h"

namespace peft {
namespace {

using Prompts = std::vector<std::vector<int64_t>>;

void check(const PretrainedModelImpl& model, const Prompts& prompts) {
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

/// Prompts of different lengths as one batch.
struct Batch {
  at::Tensor ids, mask;  // [B, T]
  int64_t width = 0;
  bool padded = false;
};

Batch make_batch(const Prompts& prompts, int64_t padding, bool on_the_left) {
  size_t longest = 0, shortest = prompts.front().size();
  for (const auto& row : prompts) {
    longest = std::max(longest, row.size());
    shortest = std::min(shortest, row.size());
  }
  const auto batch = static_cast<int64_t>(prompts.size()), width = static_cast<int64_t>(longest);
  Batch made{.ids = at::full({batch, width}, padding, at::kLong),
             .mask = at::zeros({batch, width}, at::kLong),
             .width = width,
             .padded = shortest < longest};
  for (int64_t i = 0; i < batch; ++i) {
    const auto& row = prompts[static_cast<size_t>(i)];
    const auto length = static_cast<int64_t>(row.size());
    const auto first = on_the_left ? width - length : 0;
    made.ids[i].narrow(0, first, length).copy_(at::tensor(row, at::kLong));
    made.mask[i].narrow(0, first, length).fill_(1);
  }
  return made;
}

at::Tensor column(const std::vector<int64_t>& values) {
  return at::tensor(values, at::kLong).unsqueeze(1);
}

class CausalReader final : public StepReader {
 public:
  CausalReader(LanguageModelImpl& model, const Prompts& prompts, const GenerateOptions& options)
      : StepReader(prompts.size(), options),
        model_(model),
        prompts_(prompts),
        batch_(make_batch(prompts, options.pad_token_id, true)) {
    for (const auto& prompt : prompts)
      next_position_.push_back(static_cast<int64_t>(prompt.size()));
  }

  const Prompts& beginnings() const override { return prompts_; }
  int64_t prompt_length() const override { return batch_.width; }

  at::Tensor read_prompts() override {
    tokens_ = std::make_shared<CallTokens>(batch_.ids);
    cache_ = options_.cache_implementation == "static"
                 ? model_.new_static_cache(batch_.width + options_.max_new_tokens)
                 : model_.new_cache();
    seen_ = batch_.width;
    LanguageModelInput input{.input_ids = batch_.ids, .cache = cache_.get()};
    if (batch_.padded) {
      mask_ = at::constant_pad_nd(batch_.mask, {0, options_.max_new_tokens}, 1);
      input.attention_mask = batch_.mask;
      input.position_ids = (batch_.mask.cumsum(1) - 1).clamp_min(0);
    }
    return last_scores(input);
  }

  at::Tensor read_tokens(const std::vector<int64_t>& tokens) override {
    LanguageModelInput input{.input_ids = column(tokens), .cache = cache_.get()};
    if (mask_.defined()) {
      input.attention_mask = mask_.narrow(1, 0, seen_ + 1);
      input.position_ids = column(next_position_);
    }
    for (auto& position : next_position_) ++position;
    ++seen_;
    return last_scores(input);
  }

 private:
  at::Tensor last_scores(const LanguageModelInput& input) {
    const CallTokensScope scope(tokens_);
    announce_rows();
    const auto hidden = model_.hidden_states(input);
    return model_.head(hidden.select(1, hidden.size(1) - 1)).to(at::kFloat);
  }

  void select_rows(const std::vector<int64_t>& rows, bool same_prompts) override {
    const auto index = at::tensor(rows, at::kLong);
    cache_->select_rows(index);
    if (same_prompts) return;
    tokens_ = tokens_->select(rows);
    if (mask_.defined()) mask_ = mask_.index_select(0, index);
    std::vector<int64_t> positions;
    for (const auto row : rows) positions.push_back(next_position_[static_cast<size_t>(row)]);
    next_position_ = std::move(positions);
  }

  LanguageModelImpl& model_;
  const Prompts& prompts_;
  Batch batch_;
  std::unique_ptr<KeyValueCache> cache_;
  int64_t seen_ = 0;  // tokens of a row, padding included; the cache may hold a prompt before them
  std::vector<int64_t> next_position_;        // of the next token of each row
  std::shared_ptr<const CallTokens> tokens_;  // those of the prompts of these rows
  at::Tensor mask_;  // [B, longest prompt + max_new_tokens]; undefined: no padding
};

class Seq2SeqReader final : public StepReader {
 public:
  Seq2SeqReader(Seq2SeqModelImpl& model, const Prompts& sources, const GenerateOptions& options)
      : StepReader(sources.size(), options),
        model_(model),
        batch_(make_batch(sources, options.pad_token_id, false)),
        beginnings_(sources.size(), {model.decoder_start_token_id()}) {
    if (batch_.padded) mask_ = batch_.mask;
  }

  const Prompts& beginnings() const override { return beginnings_; }
  int64_t prompt_length() const override { return 1; }

  at::Tensor read_prompts() override {
    announce_rows();
    const bool fixed = options_.cache_implementation == "static";
    cache_ = model_.new_seq2seq_cache(fixed ? 1 + options_.max_new_tokens : 0);
    states_ = model_.encode({.input_ids = batch_.ids, .attention_mask = mask_});
    const auto start =
        at::full({batch_.ids.size(0), 1}, model_.decoder_start_token_id(), at::kLong);
    const auto scores = last_scores(start);
    states_.reset();  // their keys and values are in the cache
    return scores;
  }

  at::Tensor read_tokens(const std::vector<int64_t>& tokens) override {
    announce_rows();
    return last_scores(column(tokens));
  }

 private:
  at::Tensor last_scores(const at::Tensor& ids) {
    const auto hidden = model_.decode({.encoder = {.attention_mask = mask_},
                                       .encoder_states = states_,
                                       .decoder_input_ids = ids,
                                       .cache = cache_.get()});
    return model_.head(hidden.select(1, hidden.size(1) - 1)).to(at::kFloat);
  }

  void select_rows(const std::vector<int64_t>& rows, bool same_prompts) override {
    const auto index = at::tensor(rows, at::kLong);
    cache_->self_attention->select_rows(index);
    if (same_prompts) return;  // then the keys and values of the sources stay in place
    cache_->cross_attention->select_rows(index);
    if (mask_.defined()) mask_ = mask_.index_select(0, index);
  }

  Seq2SeqModelImpl& model_;
  Batch batch_;
  Prompts beginnings_;
  at::Tensor mask_;    // [B, longest source]; undefined: no padding
  at::Tensor states_;  // [B, longest source, hidden]
  std::unique_ptr<Seq2SeqCache> cache_;
};

}  // namespace

StepReader::StepReader(size_t prompts, const GenerateOptions& options) : options_(options) {
  for (size_t i = 0; i < prompts; ++i) prompts_.push_back(static_cast<int64_t>(i));
}

void StepReader::announce_rows() const {
  if (options_.on_rows) options_.on_rows(prompts_);
}

void StepReader::select(const std::vector<int64_t>& rows) {
  bool unchanged = rows.size() == prompts_.size();
  std::vector<int64_t> prompts;
  for (size_t i = 0; i < rows.size(); ++i) {
    unchanged = unchanged && rows[i] == static_cast<int64_t>(i);
    prompts.push_back(prompts_[static_cast<size_t>(rows[i])]);
  }
  if (unchanged) return;
  const bool same_prompts = prompts == prompts_;
  prompts_ = std::move(prompts);
  select_rows(rows, same_prompts);
}

std::unique_ptr<StepReader> make_reader(LanguageModelImpl& model, const Prompts& prompts,
                                        const GenerateOptions& options) {
  check(model, prompts);
  return std::make_unique<CausalReader>(model, prompts, options);
}

std::unique_ptr<StepReader> make_reader(Seq2SeqModelImpl& model, const Prompts& sources,
                                        const GenerateOptions& options) {
  check(model, sources);
  return std::make_unique<Seq2SeqReader>(model, sources, options);
}

}  // namespace peft
