#include <ATen/ATen.h>
#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "cli/commands.h"
#include "cli/headed_base.h"
#include "cli/seq2seq_training.h"
#include "peft/auto_peft_model.h"
#include "peft/base/error.h"
#include "peft/base/json_text.h"

namespace peft::cli {

namespace {

struct PredictOptions {
  ModelOptions model = {};
  std::string task_type = "";
  std::filesystem::path input = {};
  std::string text = "", text_pair = "";
  ColumnOptions columns = {};
  int64_t batch_size = 8;
  int64_t max_length = 512;
  int64_t max_answer_length = 30;
  int64_t max_new_tokens = 64;
  bool json = false;

  static void fields(auto& self, auto&& field) {
    ModelOptions::fields(self.model, field);
    field("task_type", self.task_type,
          "SEQ_CLS, TOKEN_CLS, QUESTION_ANS or SEQ_2_SEQ_LM; default: what the adapter was trained "
          "for.");
    field("input", self.input,
          "JSONL or CSV file with rows as for training; labels may be missing.");
    field("text", self.text, "One text in place of --input; the question for QUESTION_ANS.");
    field("text_pair", self.text_pair, "A second text; the context for QUESTION_ANS.");
    ColumnOptions::fields(self.columns, field);
    field("batch_size", self.batch_size, "Rows in a batch.");
    field("max_length", self.max_length, "Rows are cut after this many tokens; 0: never.");
    field("max_answer_length", self.max_answer_length, "Most tokens of an answer.");
    field("max_new_tokens", self.max_new_tokens, "Most tokens of a target, SEQ_2_SEQ_LM.");
    field("json", self.json, "Write a JSON line with all scores for each row.");
  }
};

/// The answer to one row, in words and as JSON.
struct Prediction {
  std::string text = {};
  Json facts = Json::object();
};

std::string with_score(const std::string& label, double score) {
  return fmt::format("{}\t{:.4f}", label, score);
}

Prediction class_of(const at::Tensor& scores, const LabelSet& labels) {
  const bool numbers = labels.problem_type == "regression";
  const bool many = labels.problem_type == "multi_label_classification";
  const at::Tensor shares = numbers ? scores : many ? scores.sigmoid() : scores.softmax(0);
  Prediction result;
  Json all = Json::object();
  std::vector<std::string> chosen, texts;
  const int64_t best = shares.argmax(0).item<int64_t>();
  for (int64_t i = 0; i < shares.size(0); ++i) {
    const auto& name = labels.names.at(static_cast<size_t>(i));
    const double share = shares[i].item<double>();
    all[name] = share;
    if (numbers) texts.push_back(fmt::format("{:.6g}", share));
    if (numbers || (many ? share <= 0.5 : i != best)) continue;
    chosen.push_back(name);
    texts.push_back(with_score(name, share));
  }
  result.text = fmt::format("{}", fmt::join(texts, "\t"));
  if (many) {
    result.facts["labels"] = chosen;
  } else if (!numbers) {
    result.facts["label"] = chosen.front();
    result.facts["score"] = all[chosen.front()];
  }
  result.facts["scores"] = all;
  return result;
}

// A word has the label of the token that it begins with; one that was cut away has none.
Prediction words_of(const at::Tensor& logits, const train::TaskRow& row,
                    const TaskEncoding& encoding, const LabelSet& labels) {
  const at::Tensor shares = logits.softmax(1);
  const auto [best, which] = shares.max(1);
  Prediction result;
  result.facts["words"] = Json::array();
  for (size_t i = 0; i < row.words.size(); ++i) {
    const auto token = encoding.first_tokens[i];
    const std::string label =
        token ? labels.names.at(static_cast<size_t>(which[*token].item<int64_t>())) : "";
    const double score = token ? best[*token].item<double>() : 0.0;
    if (!result.text.empty()) result.text += ' ';
    result.text += row.words[i] + (token ? "/" + label : "");
    result.facts["words"].push_back(
        {{"word", row.words[i]}, {"label", token ? Json(label) : Json()}, {"score", score}});
  }
  return result;
}

// The best start and end within the context, the end at most so many tokens later.
Prediction answer_of(const at::Tensor& logits, const train::TaskRow& row,
                     const TaskEncoding& encoding, int64_t most) {
  const auto tokens = static_cast<int64_t>(encoding.spans.size());
  at::Tensor outside = at::ones({tokens}, at::kBool);
  for (int64_t i = 0; i < tokens; ++i) {
    if (encoding.spans[static_cast<size_t>(i)]) outside[i] = false;
  }
  const at::Tensor shares = logits.masked_fill(outside.unsqueeze(1), -1e30).softmax(0);
  const at::Tensor pairs =
      (shares.select(1, 0).unsqueeze(1) * shares.select(1, 1).unsqueeze(0)).triu().tril(most - 1);
  const int64_t best = pairs.argmax().item<int64_t>();
  const auto first = encoding.spans[static_cast<size_t>(best / tokens)];
  const auto last = encoding.spans[static_cast<size_t>(best % tokens)];
  Prediction result;
  if (!first || !last) {
    result.facts = {{"answer", ""}, {"score", 0.0}};
    return result;
  }
  result.text = row.text_pair->substr(first->first, last->second - first->first);
  result.facts = {{"answer", result.text},
                  {"start", first->first},
                  {"end", last->second},
                  {"score", pairs.max().item<double>()}};
  return result;
}

Prediction prediction_of(const at::Tensor& scores, const train::TaskRow& row,
                         const TaskEncoding& encoding, const LabelSet& labels, const TaskKind& kind,
                         int64_t max_answer_length) {
  if (kind.rows == train::RowTask::kSequenceClassification) return class_of(scores, labels);
  // Scores of a prompt come first, and those of padding last.
  const auto own = static_cast<int64_t>(encoding.example.input_ids.size());
  const at::Tensor tokens = scores.narrow(0, 0, own);
  return kind.rows == train::RowTask::kTokenClassification
             ? words_of(tokens, row, encoding, labels)
             : answer_of(tokens, row, encoding, max_answer_length);
}

std::vector<train::TaskRow> rows_of(const PredictOptions& options, const TaskKind& kind) {
  if (options.text.empty() == options.input.empty()) {
    throw UsageError("expected either --input or --text.");
  }
  if (!options.input.empty()) {
    auto rows = train::read_task_rows(options.input, kind.rows, options.columns.columns, false);
    for (train::TaskRow& row : rows) row.label = nullptr;  // it is not looked at
    return rows;
  }
  const auto& columns = options.columns.columns;
  Json row;
  switch (kind.rows) {
    case train::RowTask::kTokenClassification:
      row[columns.tokens] = options.text;
      break;
    case train::RowTask::kQuestionAnswering:
      row[columns.question] = options.text;
      row[columns.context] = options.text_pair;
      break;
    default:
      row[columns.text] = options.text;
      if (!options.text_pair.empty()) row[columns.text_pair] = options.text_pair;
  }
  return {train::parse_task_row(row, "--text", kind.rows, columns, false)};
}

// labels.json of the adapter's folder; without it the head of the file tells how many there are.
LabelSet labels_of(const std::filesystem::path& adapter, const TaskKind& kind) {
  if (kind.rows == train::RowTask::kQuestionAnswering) return {};
  std::error_code error;
  if (std::filesystem::exists(adapter / "labels.json", error)) return LabelSet::load(adapter);
  if (const auto labels = saved_num_labels(adapter)) return LabelSet::numbered(*labels);
  throw NotFoundError(adapter.string() +
                      ": no head: expected labels.json, or a layer `classifier` or `score` in "
                      "adapter_model.safetensors. Train it with peft train --task_type " +
                      kind.task_type + ".");
}

/// Throws: UsageError for a task whose model has no head.
TaskKind headed_kind(const std::string& task_type) {
  const TaskKind kind = task_kind(task_type);
  if (kind.model != ModelTask::kBody) return kind;
  throw UsageError("--task_type: " + task_type + " has no labels to predict: run peft embed.");
}

TaskKind kind_of(const PredictOptions& options, const std::filesystem::path& adapter) {
  if (!options.task_type.empty()) return headed_kind(options.task_type);
  const PeftConfig config = read_adapter_config(adapter);
  const auto* type = config.shared().task_type;
  if (type == nullptr || !*type) {
    throw UsageError(
        "--task_type: the adapter does not tell its task: expected SEQ_CLS, "
        "TOKEN_CLS or QUESTION_ANS.");
  }
  return headed_kind(**type);
}

/// The targets of an encoder-decoder.
int write_all_targets(const PredictOptions& options, const std::filesystem::path& adapter,
                      const std::vector<train::TaskRow>& rows, const Console& console) {
  const Seq2SeqBase base = open_seq2seq(options.model);
  auto model = PeftModelForSeq2SeqLM::from_pretrained(base.model, adapter);
  model.eval();
  const auto size = static_cast<ptrdiff_t>(options.batch_size);
  for (auto begin = rows.begin(); begin < rows.end();) {
    const auto end = begin + std::min(size, rows.end() - begin);
    for (const std::string& target : write_targets(model, *base.text, {begin, end},
                                                   options.max_length, options.max_new_tokens)) {
      console.result(options.json
                         ? dump_json({{"target", target}}, {.indent = {}, .ensure_ascii = false})
                         : target);
    }
    begin = end;
  }
  return kOk;
}

int predict(const PredictOptions& options, Console& console) {
  if (options.batch_size < 1) throw UsageError("--batch_size: expected at least 1.");
  if (options.model.adapter.empty()) throw UsageError("--adapter is missing: a folder.");
  if (!options.task_type.empty()) headed_kind(options.task_type);
  const auto adapter = local_adapter(options.model.adapter);
  const TaskKind kind = kind_of(options, adapter);
  const auto rows = rows_of(options, kind);
  if (kind.model == ModelTask::kSeq2SeqLM) {
    return write_all_targets(options, adapter, rows, console);
  }
  HeadedBase base(options.model, kind, labels_of(adapter, kind));
  base.load_adapter(adapter, false);
  base.peft().eval();
  const c10::InferenceMode inference;
  for (size_t begin = 0; begin < rows.size(); begin += static_cast<size_t>(options.batch_size)) {
    const size_t end = std::min(rows.size(), begin + static_cast<size_t>(options.batch_size));
    std::vector<TaskEncoding> encodings;
    for (size_t i = begin; i < end; ++i) {
      encodings.push_back(base.encode(rows[i], options.max_length));
    }
    const at::Tensor scores = base.scores(encodings);
    for (size_t i = begin; i < end; ++i) {
      const Prediction prediction =
          prediction_of(scores[static_cast<int64_t>(i - begin)], rows[i], encodings[i - begin],
                        base.labels(), kind, options.max_answer_length);
      console.result(options.json
                         ? dump_json(prediction.facts, {.indent = {}, .ensure_ascii = false})
                         : prediction.text);
    }
  }
  return kOk;
}

}  // namespace

Command predict_command() {
  return command<PredictOptions>(
      "predict", "Labels of texts and words, and answers to questions.",
      "--model_name_or_path M --adapter DIR (--input FILE | --text TEXT) [FLAGS]", predict);
}

}  // namespace peft::cli
