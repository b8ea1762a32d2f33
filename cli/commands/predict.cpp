#include <ATen/ATen.h>
#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>

#include "cli/answers.h"
#include "cli/commands.h"
#include "cli/headed_base.h"
#include "cli/row_tasks.h"
#include "cli/seq2seq_base.h"
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
  RowLengths lengths = {};
  int64_t max_answer_length = 30;
  int64_t n_best_size = 1;
  bool version_2_with_negative = false;
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
    field("max_length", self.lengths.max_length,
          "Rows are cut after this many tokens; 0: never. Default: 512; for QUESTION_ANS, which "
          "reads long contexts in windows of this length, 384.");
    field("doc_stride", self.lengths.doc_stride, kDocStrideHelp);
    field("max_answer_length", self.max_answer_length, "Most tokens of an answer.");
    field("n_best_size", self.n_best_size, "Answers to each question that --json writes.");
    field("version_2_with_negative", self.version_2_with_negative,
          "Contexts may have no answer: it is empty where that is more likely.");
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

Json facts_of(const FoundAnswer& answer) {
  Json facts = {{"answer", answer.text}, {"score", answer.score}};
  if (answer.end == 0) return facts;
  facts["start"] = answer.start;
  facts["end"] = answer.end;
  return facts;
}

// The best one, and in JSON beside it those that come after it where more were asked for.
Prediction answer_of(const std::vector<FoundAnswer>& answers) {
  Prediction result{.text = answers.front().text, .facts = facts_of(answers.front())};
  if (answers.size() == 1) return result;
  result.facts["n_best"] = Json::array();
  for (const FoundAnswer& answer : answers) result.facts["n_best"].push_back(facts_of(answer));
  return result;
}

std::vector<Prediction> answer_predictions(HeadedBase& base,
                                           const std::vector<train::TaskRow>& rows,
                                           const PredictOptions& options) {
  const AnswerOptions settings{.lengths = options.lengths,
                               .batch_size = options.batch_size,
                               .max_answer_length = options.max_answer_length,
                               .n_best_size = options.n_best_size,
                               .may_lack = options.version_2_with_negative};
  std::vector<Prediction> predictions;
  for (const auto& answers : find_answers(base, rows, settings)) {
    predictions.push_back(answer_of(answers));
  }
  return predictions;
}

std::vector<Prediction> label_predictions(HeadedBase& base, const TaskKind& kind,
                                          const std::vector<train::TaskRow>& rows,
                                          const PredictOptions& options) {
  std::vector<TaskEncoding> encodings;
  for (const train::TaskRow& row : rows) {
    encodings.push_back(base.encode(row, options.lengths, kPredictLength).front());
  }
  const at::Tensor scores = base.scores(encodings);
  std::vector<Prediction> predictions;
  for (size_t i = 0; i < rows.size(); ++i) {
    const at::Tensor own = scores[static_cast<int64_t>(i)];
    predictions.push_back(kind.rows == train::RowTask::kTokenClassification
                              ? words_of(own, rows[i], encodings[i], base.labels())
                              : class_of(own, base.labels()));
  }
  return predictions;
}

std::vector<train::TaskRow> rows_of(const PredictOptions& options, const TaskKind& kind) {
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

using RowsHandler = std::function<void(const std::vector<train::TaskRow>& rows)>;

void for_each_batch(const std::vector<train::TaskRow>& rows, int64_t batch_size,
                    const RowsHandler& handle) {
  const auto size = static_cast<ptrdiff_t>(batch_size);
  for (auto begin = rows.begin(); begin < rows.end();) {
    const auto end = begin + std::min(size, rows.end() - begin);
    handle({begin, end});
    begin = end;
  }
}

/// The targets of an encoder-decoder.
int write_all_targets(const PredictOptions& options, const std::filesystem::path& adapter,
                      const std::vector<train::TaskRow>& rows, const Console& console) {
  const Seq2SeqBase base = open_seq2seq(options.model);
  auto model = PeftModelForSeq2SeqLM::from_pretrained(base.model, adapter);
  model.eval();
  const int64_t length = options.lengths.max_length.value_or(kPredictLength);
  for_each_batch(rows, options.batch_size, [&](const std::vector<train::TaskRow>& some) {
    for (const std::string& target :
         write_targets(model, base, some, length, options.max_new_tokens)) {
      console.result(options.json
                         ? dump_json({{"target", target}}, {.indent = {}, .ensure_ascii = false})
                         : target);
    }
  });
  return kOk;
}

void check_predict(const PredictOptions& options) {
  if (options.batch_size < 1) throw UsageError("--batch_size: expected at least 1.");
  if (options.n_best_size < 1) throw UsageError("--n_best_size: expected at least 1.");
  if (options.max_answer_length < 1) throw UsageError("--max_answer_length: expected at least 1.");
  if (options.model.adapter.empty()) throw UsageError("--adapter is missing: a folder.");
  if (!options.task_type.empty()) headed_kind(options.task_type);
  if (options.text.empty() == options.input.empty()) {
    throw UsageError("expected either --input or --text.");
  }
  options.lengths.check();
  options.model.wanted_dtype();
}

int predict(const PredictOptions& options, Console& console) {
  check_predict(options);
  const auto adapter = local_adapter(options.model.adapter);
  const TaskKind kind = kind_of(options, adapter);
  auto rows = rows_of(options, kind);
  settle_tasks(rows, options.model.task_id, num_tasks(read_adapter_config(adapter)));
  if (kind.model == ModelTask::kSeq2SeqLM) {
    return write_all_targets(options, adapter, rows, console);
  }
  HeadedBase base(options.model, kind, labels_of(adapter, kind));
  base.load_adapter(adapter, false);
  base.peft().eval();
  const c10::InferenceMode inference;
  for_each_batch(rows, options.batch_size, [&](const std::vector<train::TaskRow>& some) {
    const auto predictions = kind.rows == train::RowTask::kQuestionAnswering
                                 ? answer_predictions(base, some, options)
                                 : label_predictions(base, kind, some, options);
    for (const Prediction& prediction : predictions) {
      console.result(options.json
                         ? dump_json(prediction.facts, {.indent = {}, .ensure_ascii = false})
                         : prediction.text);
    }
  });
  return kOk;
}

}  // namespace

Command predict_command() {
  return command<PredictOptions>(
      "predict", "Labels of texts and words, and answers to questions.",
      "--model_name_or_path M --adapter DIR (--input FILE | --text TEXT) [FLAGS]", predict);
}

}  // namespace peft::cli
