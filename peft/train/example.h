#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "peft/train/data_row.h"
#include "peft/train/text_encoder.h"

namespace peft::train {

/// A label that is not counted in the loss. Source: torch.nn.CrossEntropyLoss(ignore_index=-100).
inline constexpr int64_t kIgnoreLabel = -100;

/// The part of a row's longer text that one example has.
struct TextWindow {
  int64_t row = 0;             // the number of the row, the same for all its parts
  int64_t begin = 0, end = 0;  // where the part stands in the example's tokens, half open
  int64_t first_token = 0;     // the number, among all tokens of the text, of the one at `begin`
};

/// One row as tokens. What it teaches is a label for each token, the labels of a target text, or
/// one target for the whole row.
struct Example {
  /// Who a label is predicted by: the token before its own, that stands in the same list (a
  /// language model), or by whatever the model makes of it (a token's own class, a target text).
  enum class Labels { kOfNextToken, kOfTheirOwn };

  std::vector<int64_t> input_ids = {};
  std::vector<int64_t> labels = {};  // kIgnoreLabel: not counted
  Labels kind = Labels::kOfNextToken;
  std::vector<int64_t> token_type_ids = {};  // empty: the model gets none
  std::optional<int64_t> task_id = {};       // for adapters that tell tasks apart
  std::vector<int64_t> second_ids = {};      // of a second text that is read on its own
  /// Instead of labels: a class, numbers that are to be met, or the borders of an answer.
  std::vector<double> row_target = {};
  std::optional<TextWindow> window = {};  // of an answer's context

  /// What the loss counts: 1 for a target of the row and for a pair of texts, else the labels that
  /// are not -100, without the first of a language model, which nothing predicts.
  int64_t counted() const;
};

struct ExampleOptions {
  bool completion_only_loss = true;  // of rows with a prompt and a completion
  bool assistant_only_loss = false;  // of message rows
  int64_t max_length = 1024;         // longer rows are cut at the end; 0: never
};

/// Tokenises one row. Strings are used as they are, the end-of-sequence token is appended to texts
/// and completions (unless they end with it); messages go through the chat template. `encoder` may
/// be null where rows hold token ids. A completion begins where the tokens of the prompt alone and
/// those of the whole row part. Throws: ConfigError that begins with the row's file and line.
/// Source: SFTTrainer._prepare_dataset in trl/trainer/sft_trainer.py.
Example make_example(const DataRow& row, const TextEncoder* encoder,
                     const ExampleOptions& options = {});

/// What a user should know of a data set: how many rows something befell, and where the first
/// stands.
struct ExampleReport {
  struct Finding {
    int64_t rows = 0;
    std::string first = {};  // "<file>:<line>"
  };
  Finding cut = {};             // longer than max_length
  Finding without_loss = {};    // no label that counts: nothing is learnt from them
  Finding parted_prompts = {};  // the prompt's tokens are not the beginning of the whole row's
};

/// Tokenises all rows.  Throws: ConfigError as make_example.
std::vector<Example> make_examples(const std::vector<DataRow>& rows, const TextEncoder* encoder,
                                   const ExampleOptions& options, ExampleReport* report = nullptr);

}  // namespace peft::train
