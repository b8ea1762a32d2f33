#include "peft/generate/sampling.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include "peft/generate/logits.h"

namespace peft {
namespace {

// The rows that are still being written.
class Sampling {
 public:
  Sampling(StepReader& reader, const GenerateOptions& options)
      : reader_(reader), options_(options) {
    for (const auto& beginning : reader.beginnings()) {
      for (int64_t copy = 0; copy < options.num_return_sequences; ++copy) {
        owners_.push_back(static_cast<int64_t>(rows_.size()));
        rows_.push_back(beginning);
      }
    }
    if (options.seed) random_ = at::detail::createCPUGenerator(*options.seed);
    done_.resize(rows_.size());
  }

  std::vector<Continuation> run() {
    auto scores = read_prompts();
    for (int64_t step = 0;; ++step) {
      take(choose(scores, step));
      if (owners_.empty() || step + 1 == options_.max_new_tokens) return done_;
      std::vector<int64_t> last;
      for (const auto& row : rows_) last.push_back(row.back());
      scores = reader_.read_tokens(last);
    }
  }

 private:
  // A prompt that is continued several times is read once.
  at::Tensor read_prompts() {
    const auto scores = reader_.read_prompts();
    const auto copies = options_.num_return_sequences;
    if (copies == 1) return scores;
    std::vector<int64_t> rows;
    for (const auto owner : owners_) rows.push_back(owner / copies);
    reader_.select(rows);
    return scores.repeat_interleave(copies, 0);
  }

  at::Tensor choose(const at::Tensor& raw, int64_t step) {
    const auto scores = process_logits(
        raw, {.tokens = rows_, .new_tokens = step, .length = reader_.prompt_length() + step},
        options_);
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
    const bool go_on = !options_.on_token || options_.on_token(owners_[i], token);
    row.reason = end_of(row.tokens, options_);
    if (row.reason == FinishReason::kLength && !go_on) row.reason = FinishReason::kCallback;
    return row.reason != FinishReason::kLength;
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
    if (!rows_.empty()) reader_.select(staying);
  }

  StepReader& reader_;
  const GenerateOptions& options_;
  std::vector<std::vector<int64_t>> rows_;  // prompt and new tokens of the rows in the batch
  std::vector<int64_t> owners_;             // the continuation that each of them is
  std::vector<Continuation> done_;
  std::optional<at::Generator> random_;
};

}  // namespace

std::vector<Continuation> sample(StepReader& reader, const GenerateOptions& options) {
  return Sampling(reader, options).run();
}

}  // namespace peft
