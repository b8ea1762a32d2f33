#include "cli/exact_match.h"

#include <fmt/core.h>

#include <algorithm>
#include <numeric>

#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/generate/generate.h"
#include "peft/train/jsonl.h"

namespace peft::cli {

namespace {

constexpr size_t kBatch = 32;
constexpr int64_t kSpareTokens = 16;  // room for an answer longer than the longest expected one

std::string text_field(const Json& row, const char* key, const std::string& where) {
  if (row.contains(key) && row[key].is_string()) return row[key].get<std::string>();
  throw FormatError(fmt::format("{}: field '{}' is missing: expected a string.", where, key));
}

int64_t longest_answer(const ChatTokenizer& text, const std::vector<Question>& questions) {
  size_t longest = 0;
  for (const auto& question : questions) {
    longest = std::max(longest, text.encode(question.expected).size());
  }
  return static_cast<int64_t>(longest) + kSpareTokens;
}

double share(int64_t right, int64_t all) {
  return all == 0 ? 0 : static_cast<double>(right) / static_cast<double>(all);
}

}  // namespace

std::vector<Question> read_questions(const std::filesystem::path& file) {
  std::vector<Question> questions;
  train::for_each_json_row(file, [&](Json row, const std::string& where) {
    questions.push_back({.prompt = text_field(row, "prompt", where),
                         .expected = text_field(row, "completion", where),
                         .pattern = row.value("pattern", "")});
  });
  if (questions.empty()) throw FormatError(fmt::format("{}: holds no rows.", file.string()));
  return questions;
}

std::vector<std::string> answer(LanguageModelImpl& model, const ChatTokenizer& text,
                                const std::vector<Question>& questions,
                                const std::function<void(int64_t)>& on_progress) {
  std::vector<std::vector<int64_t>> prompts;
  for (const auto& question : questions) prompts.push_back(text.encode(question.prompt));
  std::vector<size_t> order(prompts.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return prompts[a].size() < prompts[b].size(); });

  const GenerateOptions options{.max_new_tokens = longest_answer(text, questions),
                                .stop_token_ids = text.stop_token_ids(),
                                .pad_token_id = text.pad_id()};
  std::vector<std::string> answers(questions.size());
  for (size_t begin = 0; begin < order.size(); begin += kBatch) {
    const size_t end = std::min(begin + kBatch, order.size());
    std::vector<std::vector<int64_t>> batch;
    for (size_t i = begin; i < end; ++i) batch.push_back(prompts[order[i]]);
    const auto continuations = generate(model, batch, options);
    for (size_t i = begin; i < end; ++i) {
      answers[order[i]] = trim(text.tokenizer().decode(continuations[i - begin].tokens));
    }
    if (on_progress) on_progress(static_cast<int64_t>(end));
  }
  return answers;
}

ExactMatch exact_match(const std::vector<Question>& questions,
                       const std::vector<std::string>& answers) {
  int64_t right = 0, known = 0, known_right = 0, fresh = 0, fresh_right = 0;
  for (size_t i = 0; i < questions.size(); ++i) {
    const int64_t hit = trim(questions[i].expected) == answers[i] ? 1 : 0;
    const bool is_new = questions[i].pattern.starts_with("new");
    right += hit;
    (is_new ? fresh : known) += 1;
    (is_new ? fresh_right : known_right) += hit;
  }
  return {.all = share(right, static_cast<int64_t>(questions.size())),
          .known_patterns = share(known_right, known),
          .new_patterns = share(fresh_right, fresh)};
}

}  // namespace peft::cli
