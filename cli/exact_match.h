#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "peft/chat_tokenizer.h"
#include "peft/models/common/language_model.h"

namespace peft::cli {

/// One held-out row: what is asked, what the answer should be, and which pattern it was made from.
struct Question {
  std::string prompt = {};
  std::string expected = {};
  std::string pattern = {};  // "new-..." where training never saw the pattern
};

/// Reads rows {"prompt", "completion", "pattern"}.  Throws: FormatError naming file and line.
std::vector<Question> read_questions(const std::filesystem::path& file);

/// Greedy answers by the same generation that users get, in batches of like length; without the
/// text of stop tokens and blanks at both ends.
std::vector<std::string> answer(LanguageModelImpl& model, const ChatTokenizer& text,
                                const std::vector<Question>& questions,
                                const std::function<void(int64_t done)>& on_progress = {});

/// Shares of answers, 0 to 1, that equal the expected text but for blanks at both ends.
struct ExactMatch {
  double all = 0, known_patterns = 0, new_patterns = 0;
};
ExactMatch exact_match(const std::vector<Question>& questions,
                       const std::vector<std::string>& answers);

}  // namespace peft::cli
