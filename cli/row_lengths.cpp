#include "cli/row_lengths.h"

#include <fmt/core.h>

#include <algorithm>

#include "cli/options.h"

namespace peft::cli {

namespace {

// Source: max_seq_length and doc_stride of examples/pytorch/question-answering/run_qa.py.
constexpr int64_t kWindowLength = 384, kStride = 128;

}  // namespace

void RowLengths::check() const {
  if (max_length && *max_length < 0) throw UsageError("--max_length: expected at least 0.");
  if (doc_stride && *doc_stride < 0) throw UsageError("--doc_stride: expected at least 0.");
  if (!max_length || !doc_stride || *max_length == 0 || *doc_stride < *max_length) return;
  throw UsageError(fmt::format("--doc_stride: expected less than --max_length {}, got {}.",
                               *max_length, *doc_stride));
}

TaskEncodeOptions RowLengths::options(train::RowTask task, int64_t otherwise,
                                      std::optional<int64_t> room) const {
  const bool windows = task == train::RowTask::kQuestionAnswering;
  int64_t length = windows ? std::min(kWindowLength, otherwise) : otherwise;
  if (room) length = std::min(length, std::max<int64_t>(*room, 1));
  length = max_length.value_or(length);
  return {.max_length = length, .doc_stride = doc_stride.value_or(std::min(kStride, length / 3))};
}

std::optional<int64_t> most_tokens(const Json& model_config) {
  const auto number = [&](const char* key) -> std::optional<int64_t> {
    const auto found = model_config.find(key);
    if (found == model_config.end() || !found->is_number_integer()) return std::nullopt;
    return found->get<int64_t>();
  };
  const std::string type = model_config.value("model_type", "");
  if (type == "t5" || type == "mt5") return std::nullopt;  // places are told by their distance
  auto most = number("max_position_embeddings");
  if (!most) most = number("n_positions");
  // The places of RoBERTa's tokens begin behind that of padding.
  const bool behind_padding = type == "roberta" || type == "xlm-roberta";
  if (most && behind_padding) *most -= number("pad_token_id").value_or(1) + 1;
  return most;
}

}  // namespace peft::cli
