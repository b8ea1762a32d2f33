#include "cli/examples.h"

#include <fmt/core.h>

#include "peft/base/error.h"

namespace peft::cli {

namespace {

/// An index beyond the table would only be noticed deep inside of the model.
void check_tokens(const train::Example& example, const std::string& where, int64_t vocabulary) {
  const auto check = [&](int64_t token) {
    if (token >= 0 && token < vocabulary) return;
    throw ConfigError(
        fmt::format("{}: a token is unknown to the model: expected 0 to {}, got {}. Check that the "
                    "rows were made with this model's tokenizer.",
                    where, vocabulary - 1, token));
  };
  for (const int64_t token : example.input_ids) check(token);
  for (const int64_t label : example.labels) {
    if (label != train::kIgnoreLabel) check(label);
  }
}

void warn_of(const train::ExampleReport::Finding& finding, size_t rows, const std::string& what,
             const Console& console) {
  if (finding.rows == 0) return;
  console.warning(
      fmt::format("{} of {} rows {} (the first: {}).", finding.rows, rows, what, finding.first));
}

}  // namespace

std::vector<train::Example> examples_of(const std::vector<train::DataRow>& rows,
                                        const AdaptedModel& model,
                                        const train::ExampleOptions& options,
                                        const Console& console) {
  train::ExampleReport report;
  auto examples = train::make_examples(rows, model.text_or_null(), options, &report);
  const int64_t vocabulary = model.language_model().shape().vocab;
  for (size_t i = 0; i < rows.size(); ++i) check_tokens(examples[i], rows[i].where, vocabulary);
  warn_of(report.cut, rows.size(),
          fmt::format("are longer than --max_length {} and were cut", options.max_length), console);
  warn_of(report.without_loss, rows.size(), "have no token that counts in the loss", console);
  warn_of(report.parted_prompts, rows.size(),
          "begin with other tokens than their prompt alone, so that the completion counts from "
          "where they part; let prompts end where a token ends",
          console);
  return examples;
}

}  // namespace peft::cli
