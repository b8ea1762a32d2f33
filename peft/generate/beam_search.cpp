#include "peft/generate/beam_search.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include "peft/generate/beam_scorer.h"
#include "peft/generate/logits.h"

namespace peft {
namespace {

// The beams of all prompts; those of prompts that are not done are the rows of the batch.
class BeamSearch {
 public:
  BeamSearch(StepReader& reader, const GenerateOptions& options)
      : reader_(reader), options_(options) {
    for (const auto& beginning : reader.beginnings()) {
      open_.push_back(scorers_.size());
      scorers_.emplace_back(options);
      rows_.insert(rows_.end(), static_cast<size_t>(options.num_beams), beginning);
    }
    if (options.seed) random_ = at::detail::createCPUGenerator(*options.seed);
  }

  std::vector<Continuation> run() {
    auto scores = read_prompts();
    for (int64_t step = 0; advance(scores, step); ++step) {
      std::vector<int64_t> last;
      for (const auto& row : rows_) last.push_back(row.back());
      scores = reader_.read_tokens(last);
    }
    std::vector<Continuation> all;
    for (const auto& scorer : scorers_) {
      for (auto& one : scorer.best()) all.push_back(std::move(one));
    }
    return all;
  }

 private:
  // All beams of a prompt are the prompt, which is read once.
  at::Tensor read_prompts() {
    const auto scores = reader_.read_prompts();
    std::vector<int64_t> rows;
    for (size_t i = 0; i < rows_.size(); ++i) {
      rows.push_back(static_cast<int64_t>(i) / options_.num_beams);
    }
    reader_.select(rows);
    return scores.repeat_interleave(options_.num_beams, 0);
  }

  // The best ways to go on, or drawn ones.  scores [rows, V] -> [prompts, K] each
  std::pair<at::Tensor, at::Tensor> candidates(const at::Tensor& scores, int64_t step) {
    const RowsSoFar rows{
        .tokens = rows_, .new_tokens = step, .length = reader_.prompt_length() + step};
    std::vector<at::Tensor> sums;
    for (const auto prompt : open_) sums.push_back(scorers_[prompt].running_scores());
    const auto steps = process_logits(scores.log_softmax(-1), rows, options_);
    const auto all = (steps + at::cat(sums).to(steps.device()).unsqueeze(1))
                         .view({static_cast<int64_t>(open_.size()), -1});
    const auto count = BeamScorer::candidates(options_);
    if (!options_.do_sample) {
      const auto [best, index] = all.topk(count);
      return {best.to(at::kCPU), index.to(at::kCPU)};
    }
    const auto here = all.to(at::kCPU);
    const auto index = at::multinomial(here.softmax(-1), count, false, random_);
    return {here.gather(1, index), index};
  }

  // Returns: whether there is something to go on with.
  bool advance(const at::Tensor& scores, int64_t step) {
    const auto vocab = scores.size(1);
    const auto [sums, index] = candidates(scores, step);
    std::vector<size_t> still_open;
    std::vector<int64_t> rows;
    std::vector<std::vector<int64_t>> next;
    bool goes_on = false;
    for (size_t i = 0; i < open_.size(); ++i) {
      auto& scorer = scorers_[open_[i]];
      const auto at_prompt = static_cast<int64_t>(i);
      BeamCandidates ways{.scores = sums[at_prompt]};
      const auto* places = index.const_data_ptr<int64_t>() + at_prompt * index.size(1);
      for (int64_t k = 0; k < index.size(1); ++k) {
        ways.beams.push_back(places[k] / vocab);
        ways.tokens.push_back(places[k] % vocab);
      }
      goes_on = scorer.advance(ways) || goes_on;
      if (scorer.is_done()) continue;
      still_open.push_back(open_[i]);
      for (const Beam& beam : scorer.running()) {
        rows.push_back(at_prompt * options_.num_beams + beam.parent);
        next.push_back(rows_[static_cast<size_t>(rows.back())]);
        next.back().push_back(beam.tokens.back());
      }
    }
    open_ = std::move(still_open);
    rows_ = std::move(next);
    if (open_.empty() || !goes_on) return false;
    reader_.select(rows);
    return true;
  }

  StepReader& reader_;
  const GenerateOptions& options_;
  std::vector<BeamScorer> scorers_;         // one for each prompt
  std::vector<size_t> open_;                // the prompts in the batch, num_beams rows each
  std::vector<std::vector<int64_t>> rows_;  // prompt and new tokens of the rows in the batch
  std::optional<at::Generator> random_;
};

}  // namespace

std::vector<Continuation> beam_search(StepReader& reader, const GenerateOptions& options) {
  return BeamSearch(reader, options).run();
}

}  // namespace peft
