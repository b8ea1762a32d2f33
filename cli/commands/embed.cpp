#include <ATen/ATen.h>
#include <fmt/core.h>

#include <algorithm>
#include <optional>

#include "cli/adapted_model.h"
#include "cli/commands.h"
#include "cli/row_tasks.h"
#include "peft/base/error.h"
#include "peft/peft_model_for_feature_extraction.h"
#include "peft/sentence_embedding.h"
#include "peft/train/task_row.h"

namespace peft::cli {

namespace {

struct EmbedOptions {
  ModelOptions model = {};
  std::filesystem::path input = {};
  std::vector<std::string> text = {};
  std::string text_column = "text";
  std::string pooling = "auto";
  std::string normalize = "auto";
  int64_t max_length = 0;
  int64_t batch_size = 16;

  static void fields(auto& self, auto&& field) {
    ModelOptions::fields(self.model, field);
    field("input", self.input, "JSONL or CSV file with a text in each row.");
    field("text", self.text, "Texts in place of --input.");
    field("text_column", self.text_column, "Column of the text.");
    field("pooling", self.pooling,
          "auto (as the checkpoint's own files say, else mean), mean, cls, max or last.");
    field("normalize", self.normalize,
          "auto (as the checkpoint's own files say, else false), true or false.");
    field("max_length", self.max_length,
          "Texts are cut after this many tokens; 0: as the checkpoint's own files say.");
    field("batch_size", self.batch_size, "Texts in a batch.");
  }
};

Pooling wanted_pooling(const EmbedOptions& options, const std::filesystem::path& folder) {
  Pooling pooling = Pooling::load(folder);
  if (options.pooling != "auto") {
    pooling.cls_token = options.pooling == "cls";
    pooling.mean_tokens = options.pooling == "mean";
    pooling.max_tokens = options.pooling == "max";
    pooling.mean_sqrt_len = false;
    pooling.last_token = options.pooling == "last";
  }
  if (options.normalize != "auto") pooling.normalize = options.normalize == "true";
  if (options.max_length > 0) pooling.max_seq_length = options.max_length;
  return pooling;
}

void check(const EmbedOptions& options) {
  const auto one_of = [](const char* flag, const std::string& value,
                         std::initializer_list<const char*> words) {
    if (std::find(words.begin(), words.end(), value) != words.end()) return;
    throw UsageError(fmt::format("--{}: no such word as '{}'.", flag, value));
  };
  one_of("pooling", options.pooling, {"auto", "mean", "cls", "max", "last"});
  one_of("normalize", options.normalize, {"auto", "true", "false"});
  if (options.batch_size < 1) throw UsageError("--batch_size: expected at least 1.");
  if (options.max_length < 0) throw UsageError("--max_length: expected at least 0.");
  if (options.text.empty() == options.input.empty()) {
    throw UsageError("expected either --input or --text.");
  }
  options.model.wanted_dtype();
}

std::vector<train::TaskRow> texts_of(const EmbedOptions& options) {
  if (options.text.empty()) {
    return train::read_task_rows(options.input, train::RowTask::kSequenceClassification,
                                 {.text = options.text_column, .text_pair = ""}, false);
  }
  std::vector<train::TaskRow> rows;
  for (const std::string& text : options.text) rows.push_back({.text = text, .where = "--text"});
  return rows;
}

std::string json_line(const at::Tensor& vector) {
  const auto* numbers = vector.const_data_ptr<float>();
  std::string line = "[";
  for (int64_t i = 0; i < vector.numel(); ++i) {
    line += fmt::format("{}{:.9g}", i == 0 ? "" : ", ", numbers[i]);
  }
  return line + "]";
}

/// The body of a checkpoint with its tokenizer and, where one is asked for, an adapter.
class Embedder {
 public:
  /// `adapter`: its folder; empty: none.
  Embedder(const EmbedOptions& options, const std::filesystem::path& adapter) {
    const auto checkpoint = open_base_checkpoint(options.model);
    pooling_ = wanted_pooling(options, checkpoint->path());
    text_ = ChatTokenizer::from_checkpoint(*checkpoint);
    body_ = load_model_as<EncoderModelImpl>(
        checkpoint, ModelTask::kBody,
        {.dtype = options.model.wanted_dtype(), .device = options.model.wanted_device()});
    if (!adapter.empty()) adapted_.emplace(body_, adapter, FromPretrainedOptions{});
    body_->eval();
  }

  // -> [B, D]
  at::Tensor embed(const std::vector<train::TaskRow>& rows) {
    std::vector<std::string> texts;
    for (const train::TaskRow& row : rows) texts.push_back(row.text);
    tokenizers::BatchOptions batch;
    if (pooling_.max_seq_length) batch.max_length = static_cast<size_t>(*pooling_.max_seq_length);
    std::vector<at::Tensor> ids, masks;
    for (const auto& encoding : text_->tokenizer().encode_batch(texts, batch)) {
      ids.push_back(at::tensor(encoding.ids, at::kLong));
      masks.push_back(at::tensor(encoding.attention_mask, at::kLong));
    }
    const EncoderInput input{.input_ids = at::stack(ids), .attention_mask = at::stack(masks)};
    const at::Tensor states =
        (adapted_ ? adapted_->forward(input, {.task_ids = tasks_of(rows)}) : body_->forward(input))
            .last_hidden_state;
    // The states of a prompt come before those of the text.
    const int64_t tokens = input.input_ids.size(1);
    return pool(states.narrow(1, states.size(1) - tokens, tokens), input.attention_mask, pooling_)
        .to(at::kCPU)
        .contiguous();
  }

 private:
  Pooling pooling_;
  std::shared_ptr<const ChatTokenizer> text_;
  EncoderModel body_;
  std::optional<PeftModelForFeatureExtraction> adapted_;
};

int embed(const EmbedOptions& options, Console& console) {
  check(options);
  auto texts = texts_of(options);
  std::filesystem::path adapter;
  if (!options.model.adapter.empty()) adapter = local_adapter(options.model.adapter);
  settle_tasks(texts, options.model.task_id,
               adapter.empty() ? 0 : num_tasks(read_adapter_config(adapter)));
  Embedder embedder(options, adapter);
  const c10::InferenceMode inference;
  const auto size = static_cast<size_t>(options.batch_size);
  for (size_t begin = 0; begin < texts.size(); begin += size) {
    const auto end = std::min(texts.size(), begin + size);
    const at::Tensor vectors = embedder.embed({texts.begin() + static_cast<ptrdiff_t>(begin),
                                               texts.begin() + static_cast<ptrdiff_t>(end)});
    for (int64_t row = 0; row < vectors.size(0); ++row) console.result(json_line(vectors[row]));
  }
  return kOk;
}

}  // namespace

Command embed_command() {
  return command<EmbedOptions>(
      "embed", "Vectors of texts, pooled as the checkpoint says; one JSON list a line.",
      "--model_name_or_path M (--input FILE | --text TEXT ...) [--adapter DIR] [FLAGS]", embed);
}

}  // namespace peft::cli
