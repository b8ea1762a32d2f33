#include "peft/models/common/task_losses.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "peft/base/error.h"

namespace peft {
namespace {

constexpr int64_t kIgnoredLabel = -100;

[[noreturn]] void throw_labels(const std::string& expected, const at::Tensor& labels) {
  throw ConfigError(
      fmt::format("loss: labels: expected {}, got {} [{}].", expected,
                  labels.defined() ? toString(labels.scalar_type()) : "none",
                  fmt::join(labels.defined() ? labels.sizes() : at::IntArrayRef{}, ", ")));
}

// logits [N, L], labels [N] int64
at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& labels, int64_t ignored) {
  const auto wanted = labels.to(logits.device(), at::kLong);
  const auto counted = wanted.ne(ignored);
  const auto wrong = counted.logical_and(wanted.lt(0).logical_or(wanted.ge(logits.size(1))));
  if (wrong.any().item<bool>()) {
    throw ConfigError(fmt::format(
        "loss: labels: expected numbers from 0 to {}, or {}, got {}. Check the number of labels of "
        "the model.",
        logits.size(1) - 1, ignored, wanted.masked_select(wrong)[0].item<int64_t>()));
  }
  return at::cross_entropy_loss(logits.to(at::kFloat), wanted, {}, at::Reduction::Mean, ignored);
}

std::string problem_type(const Json& config, int64_t classes, const at::Tensor& labels) {
  const auto given = config.find("problem_type");
  if (given != config.end() && given->is_string()) return given->get<std::string>();
  if (classes == 1) return "regression";
  return at::isIntegralType(labels.scalar_type(), false) ? "single_label_classification"
                                                         : "multi_label_classification";
}

}  // namespace

at::Tensor sequence_classification_loss(const at::Tensor& logits, const at::Tensor& labels,
                                        const Json& config) {
  if (!labels.defined() || labels.dim() == 0 || labels.size(0) != logits.size(0)) {
    throw_labels(fmt::format("one entry for each of {} rows", logits.size(0)), labels);
  }
  const auto type = problem_type(config, logits.size(1), labels);
  if (type == "single_label_classification") {
    if (labels.numel() != labels.size(0)) throw_labels("one label a row", labels);
    return cross_entropy(logits, labels.reshape({-1}), kIgnoredLabel);
  }
  const auto scores = logits.to(at::kFloat);
  const auto wanted = labels.to(logits.device(), at::kFloat);
  if (wanted.numel() != scores.numel()) {
    throw_labels(fmt::format("{} numbers a row", logits.size(1)), labels);
  }
  if (type == "regression") return at::mse_loss(scores, wanted.view_as(scores));
  if (type == "multi_label_classification") {
    return at::binary_cross_entropy_with_logits(scores, wanted.view_as(scores));
  }
  throw ConfigError(
      "config.json: problem_type: expected regression, single_label_classification or "
      "multi_label_classification, got " +
      type + ".");
}

at::Tensor token_classification_loss(const at::Tensor& logits, const at::Tensor& labels) {
  if (!labels.defined() || labels.dim() != 2 || labels.size(0) != logits.size(0) ||
      labels.size(1) != logits.size(1)) {
    throw_labels(fmt::format("one for each token, [{}, {}]", logits.size(0), logits.size(1)),
                 labels);
  }
  return cross_entropy(logits.reshape({-1, logits.size(2)}), labels.reshape({-1}), kIgnoredLabel);
}

at::Tensor question_answering_loss(const at::Tensor& logits, const at::Tensor& start,
                                   const at::Tensor& end) {
  at::Tensor sum;
  for (const int64_t border : {0, 1}) {
    const auto& positions = border == 0 ? start : end;
    if (!positions.defined() || positions.numel() != logits.size(0)) {
      throw_labels(fmt::format("a start and an end for each of {} rows", logits.size(0)),
                   positions);
    }
    const auto outside = logits.size(1);
    const auto wanted = positions.reshape({-1}).clamp(0, outside);
    const auto one = cross_entropy(logits.select(2, border), wanted, outside);
    sum = sum.defined() ? sum + one : one;
  }
  return sum / 2;
}

}  // namespace peft
