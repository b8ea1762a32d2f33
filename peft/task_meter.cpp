#include "peft/task_meter.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>
#include <set>
#include <tuple>

#include "peft/answer_spans.h"

namespace peft {
namespace {

double share(double part, double whole) { return whole == 0 ? 0.0 : part / whole; }

double f1_of(int64_t both, int64_t predicted, int64_t expected) {
  return share(2.0 * static_cast<double>(both), static_cast<double>(predicted + expected));
}

std::vector<int64_t> numbers(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.to(at::kCPU, at::kLong).contiguous().view({-1});
  const auto* values = flat.const_data_ptr<int64_t>();
  return {values, values + flat.numel()};
}

using Entity = std::tuple<std::string, size_t, size_t>;  // kind, first word, end

// "B-PER" is the beginning of a PER, "I-PER" goes on with it; "O" is outside.
std::pair<char, std::string> parted(const std::string& label) {
  if (label.size() > 1 && label[1] == '-') return {label[0], label.substr(2)};
  return {label == "O" ? 'O' : 'B', label == "O" ? "" : label};
}

std::set<Entity> entities_of(const std::vector<std::string>& labels) {
  std::set<Entity> found;
  std::string kind;
  size_t begin = 0;
  const auto close = [&](size_t end) {
    if (!kind.empty()) found.insert({kind, begin, end});
    kind.clear();
  };
  for (size_t i = 0; i < labels.size(); ++i) {
    const auto [mark, type] = parted(labels[i]);
    if (mark == 'I' && type == kind) continue;
    close(i);
    if (mark == 'O') continue;
    kind = type;
    begin = i;
  }
  close(labels.size());
  return found;
}

constexpr std::pair<int64_t, int64_t> kNoSpan{-1, -1};  // overlaps no other

bool are_entities(const std::vector<std::string>& names) {
  return std::any_of(names.begin(), names.end(),
                     [](const std::string& name) { return name.starts_with("B-"); });
}

}  // namespace

void ClassMeter::add(const at::Tensor& predicted, const at::Tensor& expected) {
  for (const int64_t label : numbers(predicted)) predicted_.push_back(label);
  for (const int64_t label : numbers(expected)) expected_.push_back(label);
}

train::Metrics ClassMeter::metrics() const {
  struct Counts {
    int64_t both = 0, predicted = 0, expected = 0;
  };
  std::map<int64_t, Counts> classes;
  int64_t right = 0;
  for (size_t i = 0; i < expected_.size(); ++i) {
    ++classes[predicted_[i]].predicted;
    ++classes[expected_[i]].expected;
    if (predicted_[i] != expected_[i]) continue;
    ++classes[expected_[i]].both;
    ++right;
  }
  double sum = 0;
  for (const auto& [label, counts] : classes) {
    sum += f1_of(counts.both, counts.predicted, counts.expected);
  }
  return {{"accuracy", share(static_cast<double>(right), static_cast<double>(expected_.size()))},
          {"f1", share(sum, static_cast<double>(classes.size()))}};
}

void LabelsMeter::add(const at::Tensor& predicted, const at::Tensor& expected) {
  const at::Tensor p = predicted.to(at::kLong), e = expected.to(p.device(), at::kLong);
  rows_ += p.size(0);
  right_rows_ += p.eq(e).all(1).sum().item<int64_t>();
  both_ += (p * e).sum().item<int64_t>();
  predicted_ += p.sum().item<int64_t>();
  expected_ += e.sum().item<int64_t>();
}

train::Metrics LabelsMeter::metrics() const {
  return {{"accuracy", share(static_cast<double>(right_rows_), static_cast<double>(rows_))},
          {"f1", f1_of(both_, predicted_, expected_)}};
}

void NumberMeter::add(const at::Tensor& predicted, const at::Tensor& expected) {
  const at::Tensor difference =
      predicted.to(at::kDouble) - expected.to(predicted.device(), at::kDouble);
  squares_ += difference.square().sum().item<double>();
  numbers_ += difference.numel();
}

train::Metrics NumberMeter::metrics() const {
  return {{"mse", share(squares_, static_cast<double>(numbers_))}};
}

void EntityMeter::add(const at::Tensor& predicted, const at::Tensor& expected) {
  for (int64_t row = 0; row < expected.size(0); ++row) {
    const auto words = expected[row].ne(-100);
    const at::Tensor p = predicted[row].masked_select(words.to(predicted.device()));
    const at::Tensor e = expected[row].masked_select(words);
    words_.add(p, e);
    const auto named = [&](const at::Tensor& labels) {
      std::vector<std::string> names;
      for (const int64_t label : numbers(labels)) {
        names.push_back(names_.at(static_cast<size_t>(label)));
      }
      return names;
    };
    const auto found = entities_of(named(p)), wanted = entities_of(named(e));
    predicted_ += static_cast<int64_t>(found.size());
    expected_ += static_cast<int64_t>(wanted.size());
    both_ += std::count_if(found.begin(), found.end(),
                           [&](const Entity& entity) { return wanted.contains(entity); });
  }
}

train::Metrics EntityMeter::metrics() const {
  train::Metrics metrics = words_.metrics();
  if (are_entities(names_)) metrics.back().second = f1_of(both_, predicted_, expected_);
  return metrics;
}

void SpanMeter::add(const at::Tensor& predicted, const at::Tensor& expected) {
  const auto p = numbers(predicted), e = numbers(expected);
  for (size_t i = 0; i + 1 < e.size(); i += 2) {
    ++rows_;
    if (p[i] == e[i] && p[i + 1] == e[i + 1]) ++exact_;
    const int64_t common = std::min(p[i + 1], e[i + 1]) - std::max(p[i], e[i]) + 1;
    overlap_ += f1_of(std::max<int64_t>(common, 0), std::max<int64_t>(p[i + 1] - p[i] + 1, 0),
                      e[i + 1] - e[i] + 1);
  }
}

train::Metrics SpanMeter::metrics() const {
  return {{"exact_match", share(static_cast<double>(exact_), static_cast<double>(rows_))},
          {"f1", share(overlap_, static_cast<double>(rows_))}};
}

void AnswerMeter::add(const at::Tensor& logits, const at::Tensor& borders,
                      const std::vector<train::TextWindow>& windows) {
  constexpr double kWorst = -std::numeric_limits<double>::infinity();
  const at::Tensor scores = logits.to(at::kCPU, at::kFloat);
  const auto expected = numbers(borders);
  for (size_t i = 0; i < windows.size(); ++i) {
    const train::TextWindow& place = windows[i];
    const std::vector<ScoredWindow> window{{scores[static_cast<int64_t>(i)], place}};
    const auto whole = [&](int64_t first, int64_t last) -> Span {
      const int64_t before = place.first_token - place.begin;
      return {before + first, before + last};
    };
    const auto [found, fresh] =
        questions_.try_emplace(place.row, Question{kNoSpan, kNoSpan, kWorst, -kWorst});
    Question& question = found->second;
    question.no_answer = std::min(question.no_answer, no_answer_score(window));
    if (expected[2 * i + 1] > 0) {
      question.expected = whole(expected[2 * i], expected[2 * i + 1]);
    }
    const auto best = best_answers(window);
    if (best.empty() || best.front().score <= question.score) continue;
    question.score = best.front().score;
    question.predicted = whole(best.front().first, best.front().last);
  }
}

train::Metrics AnswerMeter::metrics() const {
  const bool may_lack = std::any_of(questions_.begin(), questions_.end(), [](const auto& question) {
    return question.second.expected == kNoSpan;
  });
  std::vector<int64_t> predicted, expected;
  for (const auto& [row, question] : questions_) {
    const bool none = may_lack && question.no_answer > question.score;
    const Span span = none ? kNoSpan : question.predicted;
    predicted.insert(predicted.end(), {span.first, span.second});
    expected.insert(expected.end(), {question.expected.first, question.expected.second});
  }
  SpanMeter spans;
  spans.add(at::tensor(predicted, at::kLong), at::tensor(expected, at::kLong));
  return spans.metrics();
}

}  // namespace peft
