#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "peft/generate/options.h"
#include "peft/models/common/language_model.h"
#include "peft/models/common/seq2seq_model.h"

namespace peft {

/// A model that reads rows of tokens step by step, with what it has seen of them in a cache: what
/// the loops of generation know of a model. Legend: B rows, V vocabulary.
class StepReader {
 public:
  virtual ~StepReader() = default;

  /// The tokens that the rows begin with, one row for each prompt.
  virtual const std::vector<std::vector<int64_t>>& beginnings() const = 0;

  /// Length of a row before the first new token, padding included.
  virtual int64_t prompt_length() const = 0;

  /// Scores of the first new token.  -> [B, V] float32
  virtual at::Tensor read_prompts() = 0;

  /// Scores of the next one, with one more token read in each row.  -> [B, V] float32
  virtual at::Tensor read_tokens(const std::vector<int64_t>& tokens) = 0;

  /// Goes on with the given rows, in this order; a row may come several times.
  void select(const std::vector<int64_t>& rows);

 protected:
  explicit StepReader(size_t prompts, const GenerateOptions& options);

  /// Calls on_rows.
  void announce_rows() const;

  /// Does for the model what select() is called for.  `same_prompts`: each row continues the prompt
  /// that the row in its place did before.
  virtual void select_rows(const std::vector<int64_t>& rows, bool same_prompts) = 0;

  const GenerateOptions& options_;

 private:
  std::vector<int64_t> prompts_;  // that the rows continue
};

/// Throws: ConfigError for an empty prompt or a token outside of the vocabulary.
std::unique_ptr<StepReader> make_reader(LanguageModelImpl& model,
                                        const std::vector<std::vector<int64_t>>& prompts,
                                        const GenerateOptions& options);

/// The same with sources for prompts: the rows begin with the decoder's start token.
std::unique_ptr<StepReader> make_reader(Seq2SeqModelImpl& model,
                                        const std::vector<std::vector<int64_t>>& sources,
                                        const GenerateOptions& options);

}  // namespace peft
