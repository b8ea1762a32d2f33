#include "peft/base/regex.h"

#include <oniguruma.h>

#include <mutex>
#include <utility>

#include <fmt/format.h>

#include "peft/base/error.h"
#include "peft/base/text.h"

namespace peft {
namespace {

// A tokenizer's pattern takes a few steps a character; a target pattern a few hundred a name.
constexpr unsigned long kRetryLimit = 10'000'000;
constexpr unsigned kStackLimit = 10'000'000;

const OnigUChar* bytes(const char* text) { return reinterpret_cast<const OnigUChar*>(text); }

std::string reason(int code, OnigErrorInfo* info = nullptr) {
  OnigUChar buffer[ONIG_MAX_ERROR_MESSAGE_LEN];
  const int length = info != nullptr ? onig_error_code_to_str(buffer, code, info)
                                     : onig_error_code_to_str(buffer, code);
  return std::string(reinterpret_cast<const char*>(buffer), static_cast<size_t>(length));
}

struct FreeRegex {
  void operator()(regex_t* regex) const { onig_free(regex); }
};
using RegexHandle = std::unique_ptr<regex_t, FreeRegex>;

/// nullptr and the reason where the pattern is wrong.
RegexHandle compile(std::string_view pattern, OnigSyntaxType* syntax, std::string& why) {
  static std::mutex mutex;  // the library's tables are built while the first patterns are compiled
  const std::lock_guard lock(mutex);
  static const int ready = [] {
    OnigEncoding encodings[] = {ONIG_ENCODING_UTF8};
    return onig_initialize(encodings, 1);
  }();
  if (ready != ONIG_NORMAL) {
    why = reason(ready);
    return nullptr;
  }
  regex_t* regex = nullptr;
  OnigErrorInfo info = {};
  const int code = onig_new(&regex, bytes(pattern.data()), bytes(pattern.data() + pattern.size()),
                            ONIG_OPTION_DEFAULT, ONIG_ENCODING_UTF8, syntax, &info);
  if (code == ONIG_NORMAL) return RegexHandle(regex);
  why = reason(code, &info);
  return nullptr;
}

/// What one search needs besides the pattern; kept per thread, as making it costs more than a
/// match.
struct Workspace {
  OnigRegion* region = onig_region_new();
  OnigMatchParam* limits = onig_new_match_param();
  Workspace() {
    onig_initialize_match_param(limits);
    onig_set_retry_limit_in_match_of_match_param(limits, kRetryLimit);
    onig_set_retry_limit_in_search_of_match_param(limits, kRetryLimit);
    onig_set_match_stack_limit_size_of_match_param(limits, kStackLimit);
  }
  ~Workspace() {
    onig_region_free(region, 1);
    onig_free_match_param(limits);
  }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
};

Workspace& workspace() {
  thread_local Workspace instance;
  return instance;
}

}  // namespace

struct Regex::Program {
  std::string pattern, where;
  RegexHandle search, whole;

  [[noreturn]] void fail(int code, std::string_view text) const {
    throw ConfigError(
        fmt::format("{}: the pattern {} gives up on the text {}: {}. Simplify its "
                    "repetitions.",
                    where, quote(pattern), quote(text), reason(code)));
  }
};

Regex::Regex(std::string_view pattern, Syntax syntax, std::string_view where) {
  auto program = std::make_unique<Program>();
  program->pattern = pattern;
  program->where = where;
  if (!is_valid_utf8(pattern)) {
    throw ConfigError(fmt::format("{}: the pattern {} is not valid UTF-8.", where, quote(pattern)));
  }
  OnigSyntaxType* rules = syntax == Syntax::kPython ? ONIG_SYNTAX_PYTHON : ONIG_SYNTAX_RUBY;
  std::string why;
  program->search = compile(pattern, rules, why);
  if (program->search == nullptr) {
    throw ConfigError(
        fmt::format("{}: {} is not a regular expression: {}.", where, quote(pattern), why));
  }
  // A pattern may stop early where another way through it reaches the end ("a|ab"), so the end is
  // part of the question. The line break closes a comment of a (?x) pattern.
  const std::string end = syntax == Syntax::kPython ? ")\\Z" : ")\\z";
  program->whole = compile(fmt::format("(?:{}{}", pattern, end), rules, why);
  if (program->whole == nullptr) {
    program->whole = compile(fmt::format("(?:{}\n{}", pattern, end), rules, why);
  }
  if (program->whole == nullptr) {
    throw ConfigError(
        fmt::format("{}: {} is not a regular expression: {}.", where, quote(pattern), why));
  }
  program_ = std::move(program);
}

Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;

const std::string& Regex::pattern() const { return program_->pattern; }

bool Regex::full_match(std::string_view text) const {
  if (!is_valid_utf8(text)) return false;
  const char* end = text.data() + text.size();
  const int code =
      onig_match_with_param(program_->whole.get(), bytes(text.data()), bytes(end),
                            bytes(text.data()), nullptr, ONIG_OPTION_NONE, workspace().limits);
  if (code == ONIG_MISMATCH) return false;
  if (code < 0) program_->fail(code, text);
  return true;
}

std::optional<Regex::Span> Regex::find(std::string_view text, size_t from) const {
  if (from > text.size()) return std::nullopt;
  Workspace& space = workspace();
  const char* end = text.data() + text.size();
  const int code = onig_search_with_param(program_->search.get(), bytes(text.data()), bytes(end),
                                          bytes(text.data() + from), bytes(end), space.region,
                                          ONIG_OPTION_NONE, space.limits);
  if (code == ONIG_MISMATCH) return std::nullopt;
  if (code < 0) program_->fail(code, text);
  return Span{static_cast<size_t>(space.region->beg[0]), static_cast<size_t>(space.region->end[0])};
}

std::optional<Regex::Match> Regex::search(std::string_view text, size_t from) const {
  const std::optional<Span> whole = find(text, from);
  if (!whole) return std::nullopt;
  Match match;
  static_cast<Span&>(match) = *whole;
  const OnigRegion& region = *workspace().region;
  for (int i = 0; i < region.num_regs; ++i) {
    if (region.beg[i] == ONIG_REGION_NOTPOS) {
      match.groups.emplace_back();
    } else {
      match.groups.emplace_back(
          Span{static_cast<size_t>(region.beg[i]), static_cast<size_t>(region.end[i])});
    }
  }
  return match;
}

}  // namespace peft
