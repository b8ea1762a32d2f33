#include <ATen/ATen.h>
#include <fmt/core.h>

#include <algorithm>
#include <functional>

#include "cli/chat_file.h"
#include "cli/commands.h"
#include "cli/named_adapters.h"
#include "cli/seq2seq_base.h"
#include "peft/base/error.h"
#include "peft/base/json_text.h"

namespace peft::cli {

namespace {

struct Options {
  NamedAdaptersOptions model = {};
  std::optional<std::string> adapter_name = {};
  std::optional<std::string> prompt = {};
  std::optional<std::string> chat = {};
  std::filesystem::path messages = {};
  int64_t max_new_tokens = 256;
  int64_t min_new_tokens = 0;
  double temperature = 0;
  int64_t top_k = 50;
  double top_p = 1.0;
  double min_p = 0.0;
  double repetition_penalty = 1.0;
  int64_t no_repeat_ngram_size = 0;
  int64_t num_beams = 1;
  double length_penalty = 1.0;
  std::string early_stopping = "false";
  int64_t num_return_sequences = 1;
  std::vector<std::string> stop_strings = {};
  int64_t seed = 42;
  bool stream = false;
  bool json = false;

  static void fields(auto& self, auto&& field) {
    NamedAdaptersOptions::fields(self.model, field);
    field("adapter_name", self.adapter_name,
          "The adapter that answers, or __base__; none: the first one.");
    field("prompt", self.prompt,
          "Text to go on from, used as it is; the source of an encoder-decoder.");
    field("chat", self.chat, "One turn of the user, put into the chat template.");
    field("messages", self.messages, "A JSON file that holds a list of messages.");
    field("max_new_tokens", self.max_new_tokens, "Tokens to generate at most.");
    field("min_new_tokens", self.min_new_tokens, "Tokens to generate at least.");
    field("temperature", self.temperature, "0: the most likely token each time; above: sample.");
    field("top_k", self.top_k, "Sample from this many best tokens; 0: all.");
    field("top_p", self.top_p, "Sample from the best tokens that make up this probability.");
    field("min_p", self.min_p, "Leave out tokens below this share of the best one's probability.");
    field("repetition_penalty", self.repetition_penalty, "Above 1: repeat less.");
    field("no_repeat_ngram_size", self.no_repeat_ngram_size,
          "So many tokens in a row come once; 0: off.");
    field("num_beams", self.num_beams, "Rows that a beam search follows; 1: off.");
    field("length_penalty", self.length_penalty, "Above 0: favour long beams; below: short ones.");
    field("early_stopping", self.early_stopping,
          "End a beam search with num_beams finished beams: true, false or never.");
    field("num_return_sequences", self.num_return_sequences,
          "Answers to write, each on a line: samples, or the best beams.");
    field("stop_strings", self.stop_strings, "Stop where the new text contains one of these.");
    field("seed", self.seed, "Seed of the sampling.");
    field("stream", self.stream, "Write each word as soon as it is known.");
    field("json", self.json,
          "Write an object with the text, its tokens and why it ended; a list of several.");
  }
};

std::vector<int64_t> prompt_ids(const Options& options, const ChatTokenizer& text) {
  if (options.prompt) return text.encode(*options.prompt);
  train::ChatRequest request =
      options.chat
          ? train::ChatRequest{.messages =
                                   Json::array({{{"role", "user"}, {"content", *options.chat}}})}
          : read_chat(options.messages);
  request.add_generation_prompt = true;
  return text.encode_chat(request).ids;
}

EarlyStopping early_stopping_of(const Options& options) {
  if (options.early_stopping == "false") return EarlyStopping::kFalse;
  if (options.early_stopping == "true") return EarlyStopping::kTrue;
  if (options.early_stopping == "never") return EarlyStopping::kNever;
  throw UsageError(
      fmt::format("--early_stopping {}: expected true, false or never.", options.early_stopping));
}

/// What the flags say, before any file is opened.
GenerateOptions flag_options(const Options& options) {
  return {.max_new_tokens = options.max_new_tokens,
          .min_new_tokens = options.min_new_tokens,
          .do_sample = options.temperature > 0,
          .temperature = options.temperature > 0 ? options.temperature : 1.0,
          .top_k = options.top_k,
          .top_p = options.top_p,
          .min_p = options.min_p,
          .repetition_penalty = options.repetition_penalty,
          .no_repeat_ngram_size = options.no_repeat_ngram_size,
          .num_beams = options.num_beams,
          .length_penalty = options.length_penalty,
          .early_stopping = early_stopping_of(options),
          .num_return_sequences = options.num_return_sequences,
          .seed = static_cast<uint64_t>(options.seed)};
}

/// `settings` say what the flags leave to the model.
GenerateOptions with_text(const Options& options, const ChatTokenizer& text,
                          GenerateOptions settings) {
  auto& stops = settings.stop_token_ids;
  for (const int64_t token : text.stop_token_ids()) {
    if (std::find(stops.begin(), stops.end(), token) == stops.end()) stops.push_back(token);
  }
  settings.stop_strings = options.stop_strings;
  settings.decode = [&text](const std::vector<int64_t>& ids) {
    return text.tokenizer().decode(ids);
  };
  return settings;
}

GenerateOptions causal_options(const Options& options, const ChatTokenizer& text) {
  GenerateOptions settings = flag_options(options);
  settings.pad_token_id = text.pad_id();
  return with_text(options, text, std::move(settings));
}

// Stop tokens, padding and forced tokens are the checkpoint's.
GenerateOptions seq2seq_options(const Options& options, const Seq2SeqBase& base) {
  GenerateOptions settings = flag_options(options);
  settings.stop_token_ids = base.generation.stop_token_ids;
  settings.pad_token_id = base.generation.pad_token_id;
  settings.forced_bos_token_id = base.generation.forced_bos_token_id;
  settings.forced_eos_token_ids = base.generation.forced_eos_token_ids;
  return with_text(options, *base.text, std::move(settings));
}

const char* reason_text(FinishReason reason) {
  switch (reason) {
    case FinishReason::kLength:
      return "length";
    case FinishReason::kStopToken:
      return "stop_token";
    case FinishReason::kStopString:
      return "stop_string";
    case FinishReason::kCallback:
      return "callback";
  }
  return "";
}

void check_adapter_name(const Options& options, const std::vector<NamedAdapter>& adapters) {
  if (!options.adapter_name || *options.adapter_name == kBaseRow) return;
  for (const NamedAdapter& adapter : adapters) {
    if (adapter.name == *options.adapter_name) return;
  }
  throw UsageError(fmt::format("--adapter_name {}: expected __base__ or the name of an --adapter.",
                               *options.adapter_name));
}

std::vector<std::string> row_adapters(const Options& options) {
  if (!options.adapter_name) return {};
  return {*options.adapter_name};
}

std::vector<Continuation> go_on(const Options& options, AdaptedModel& model,
                                const std::vector<int64_t>& prompt,
                                const GenerateOptions& settings) {
  PeftModelForCausalLM* const peft = model.peft_or_null();
  if (peft == nullptr) return generate(model.language_model(), {prompt}, settings);
  model.task_of(std::nullopt, "--task_id");  // a wrong one is told in the words of the flag
  return peft->generate(
      {prompt}, settings,
      CausalLMCall{.adapter_names = row_adapters(options), .task_ids = model.task_ids()});
}

void write_answers(const Options& options, const std::vector<Continuation>& answers,
                   const ChatTokenizer& text, size_t prompt_tokens, Console& console) {
  Json objects = Json::array();
  for (const Continuation& answer : answers) {
    const std::string words = text.tokenizer().decode(answer.tokens);
    if (!options.json) {
      console.result(words);
      continue;
    }
    objects.push_back({{"text", words},
                       {"tokens", answer.tokens},
                       {"prompt_tokens", prompt_tokens},
                       {"finish_reason", reason_text(answer.reason)}});
    if (options.num_beams > 1) objects.back()["score"] = answer.score;
  }
  if (!options.json) return;
  console.result(dump_json(objects.size() == 1 ? objects.front() : objects,
                           {.indent = {}, .ensure_ascii = false}));
}

void check_stream(const Options& options) {
  if (!options.stream || (options.num_beams == 1 && options.num_return_sequences == 1)) return;
  throw UsageError("--stream: expected one row that is written, got beams or several sequences.");
}

using Generation = std::function<std::vector<Continuation>(const std::vector<int64_t>& prompt,
                                                           const GenerateOptions& settings)>;

/// Runs a generation and writes what it gives, at once or word by word.
int answer_prompt(const Options& options, const ChatTokenizer& text, GenerateOptions settings,
                  const Generation& generation, Console& console) {
  const std::vector<int64_t> prompt = prompt_ids(options, text);
  tokenizers::StreamDecoder decoder(text.shared_tokenizer());
  const bool stream = options.stream && !options.json;
  if (stream) {
    settings.on_token = [&](int64_t, int64_t token) {
      console.out << decoder.push(token) << std::flush;
      return true;
    };
  }
  const auto answers = generation(prompt, settings);
  if (stream) {
    console.result(decoder.finish());
  } else {
    write_answers(options, answers, text, prompt.size(), console);
  }
  return kOk;
}

int answer_by_language_model(const Options& options, const std::vector<NamedAdapter>& adapters,
                             const std::shared_ptr<formats::Checkpoint>& checkpoint,
                             Console& console) {
  AdaptedModel model = AdaptedModel::open(options.model.model, adapters, checkpoint);
  const auto generation = [&](const auto& prompt, const auto& settings) {
    return go_on(options, model, prompt, settings);
  };
  return answer_prompt(options, model.text(), causal_options(options, model.text()), generation,
                       console);
}

int answer_by_encoder_decoder(const Options& options, std::vector<NamedAdapter> adapters,
                              const std::shared_ptr<formats::Checkpoint>& checkpoint,
                              Console& console) {
  // A wrong path is told before the model is read.
  for (NamedAdapter& adapter : adapters) adapter.folder = local_adapter(adapter.folder);
  const Seq2SeqBase base = open_seq2seq(options.model.model, checkpoint);
  auto adapted = put_adapters(base, options.model.model, adapters);
  TaskCall call{.adapter_names = row_adapters(options)};
  if (options.model.model.task_id >= 0) {
    call.task_ids = at::tensor({options.model.model.task_id}, at::kLong);
  }
  const auto generation = [&](const auto& prompt, const auto& settings) {
    return adapted ? adapted->generate({prompt}, settings, call)
                   : generate(*base.model, {prompt}, settings);
  };
  return answer_prompt(options, *base.text, seq2seq_options(options, base), generation, console);
}

int generate_text(const Options& options, Console& console) {
  if (options.temperature < 0) throw UsageError("--temperature: expected at least 0.");
  const int sources = int{options.prompt.has_value()} + int{options.chat.has_value()} +
                      int{!options.messages.empty()};
  if (sources != 1) throw UsageError("expected exactly one of --prompt, --chat and --messages.");
  check_stream(options);
  options.model.model.wanted_dtype();
  const auto adapters = options.model.adapters();
  check_adapter_name(options, adapters);
  checked_flags([&] { flag_options(options).validate(); });
  const auto checkpoint = open_base_checkpoint(options.model.model);
  return is_encoder_decoder(checkpoint->config())
             ? answer_by_encoder_decoder(options, adapters, checkpoint, console)
             : answer_by_language_model(options, adapters, checkpoint, console);
}

}  // namespace

Command generate_command() {
  return command<Options>("generate", "Let a model go on with a text or answer a message.",
                          "--model_name_or_path M [--adapter DIR] (--prompt TEXT | --chat TEXT | "
                          "--messages FILE) [FLAGS]",
                          generate_text);
}

}  // namespace peft::cli
