#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <unordered_set>

#include "peft/base/error.h"
#include "peft/base/file.h"
#include "peft/base/json_text.h"
#include "peft/base/text.h"
#include "peft/tokenizers/pipeline.h"

namespace peft::tokenizers {
namespace {

namespace fs = std::filesystem;

/// More than ten times the largest that is known.
constexpr uint64_t kLargestSentencePiece = uint64_t{1} << 26;

std::optional<fs::path> first_of(const fs::path& folder, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (fs::exists(folder / name)) return folder / name;
  }
  return std::nullopt;
}

/// A file of the folder that holds an object; an empty one where there is no such file.
Json read_object(const fs::path& file) {
  if (!fs::exists(file)) return Json::object();
  Json object = read_json_file(file);
  if (object.is_object()) return object;
  throw FormatError(fmt::format("{}: wrong type: expected an object, got {}. Check the file.",
                                file.string(), object.type_name()));
}

/// What added_tokens.json (a token and its id each) says, in the form of tokenizer_config.json.
Json decoder_of(const JsonView& tokens, const Json& config) {
  std::unordered_set<std::string> named;
  for (const Json& value : config) {
    const Json text = value.is_object() ? value.value("content", Json()) : value;
    if (text.is_string()) named.insert(text.get<std::string>());
  }
  Json decoder = Json::object();
  auto& entries = decoder.get_ref<Json::object_t&>();
  for (const auto& [text, id] : tokens.json().items()) {
    const auto number = JsonView(id, tokens.where() + "." + text).integer(INT32_MAX);
    // The underlying list: looking for doubles by name would take quadratic time.
    entries.Container::emplace_back(std::to_string(number),
                                    Json{{"content", text}, {"special", named.contains(text)}});
  }
  return decoder;
}

/// tokenizer_config.json; where it does not list the added tokens, the older
/// special_tokens_map.json and added_tokens.json count too. Source: transformers
/// tokenization_utils_base.py _from_pretrained
Json read_config(const fs::path& folder) {
  Json config = read_object(folder / "tokenizer_config.json");
  if (config.contains("added_tokens_decoder")) return config;
  const Json map = read_object(folder / "special_tokens_map.json");
  for (const auto& [key, value] : map.items()) config[key] = value;
  const fs::path file = folder / "added_tokens.json";
  const Json added = read_object(file);
  if (!added.empty()) config["added_tokens_decoder"] = decoder_of({added, file.string()}, config);
  return config;
}

/// The class of a model's tokenizer where the config does not name it.
void add_class_of_model(const fs::path& folder, Json& config) {
  if (config.contains("tokenizer_class") || !fs::exists(folder / "config.json")) return;
  const Json model = read_json_file(folder / "config.json");
  const JsonView json(model, (folder / "config.json").string());
  const std::string type = json.string("model_type", "");
  if (type == "gpt2") config["tokenizer_class"] = "GPT2Tokenizer";
  if (type == "roberta" || type == "bart") config["tokenizer_class"] = "RobertaTokenizer";
  if (type == "llama") config["tokenizer_class"] = "LlamaTokenizer";
  if (type == "t5" || type == "mt5") config["tokenizer_class"] = "T5Tokenizer";
  if (type == "xlm-roberta") config["tokenizer_class"] = "XLMRobertaTokenizer";
}

/// "LlamaTokenizer" of "LlamaTokenizerFast", empty where the folder does not say it.
std::string class_of(const fs::path& folder, const Json& config) {
  const JsonView json(config, (folder / "tokenizer_config.json").string());
  std::string name = json.string("tokenizer_class", "");
  if (name.ends_with("Fast")) name.resize(name.size() - 4);
  return name;
}

[[noreturn]] void fail_class(const fs::path& file, const std::string& name,
                             const std::vector<std::string>& known) {
  throw UnsupportedError(fmt::format(
      "{}: tokenizer_class: expected one of {}, got {}. Save the tokenizer as tokenizer.json with "
      "Python's save_pretrained.",
      file.string(), join_names(known, known.size()), quote(name)));
}

std::shared_ptr<Tokenizer> open_vocabulary(const fs::path& file, const Json& config,
                                           const std::string& class_name) {
  static const std::vector<std::string> kBert = {
      "BertTokenizer",      "BasicTokenizer",      "ConvBertTokenizer", "DistilBertTokenizer",
      "ElectraTokenizer",   "LayoutLMTokenizer",   "LxmertTokenizer",   "MobileBertTokenizer",
      "RetriBertTokenizer", "SqueezeBertTokenizer"};
  if (!class_name.empty() && std::find(kBert.begin(), kBert.end(), class_name) == kBert.end()) {
    fail_class(file, class_name, kBert);
  }
  return Tokenizer::from_wordpiece_vocabulary(read_text_file(file), config, file.string());
}

/// The classes whose tokens are bytes.
const std::vector<std::string>& byte_level_classes() {
  static const std::vector<std::string> names = {
      "GPT2Tokenizer", "RobertaTokenizer", "BartTokenizer", "LEDTokenizer", "LongformerTokenizer"};
  return names;
}

bool is_byte_level(const std::string& class_name) {
  const auto& names = byte_level_classes();
  return std::find(names.begin(), names.end(), class_name) != names.end();
}

std::shared_ptr<Tokenizer> open_merges(const fs::path& folder, const Json& config,
                                       const std::string& class_name) {
  const fs::path file = folder / "vocab.json";
  if (!is_byte_level(class_name)) fail_class(file, class_name, byte_level_classes());
  return Tokenizer::from_byte_level_vocabulary(
      read_text_file(file), read_text_file(folder / "merges.txt"), config, file.string());
}

void set_prefix_space(Json& stage, bool prefix) {
  if (!stage.is_object()) return;
  if (stage.value("type", "") == "ByteLevel") stage["add_prefix_space"] = prefix;
  const auto parts = stage.find("pretokenizers");
  if (parts == stage.end() || !parts->is_array()) return;
  for (Json& part : *parts) set_prefix_space(part, prefix);
}

/// Gives a tokenizer.json the settings of a caller. transformers rebuilds the first stage of the
/// classes that are byte-level, and a class of no model goes by the file alone.
void change_settings(const Json& settings, const std::string& class_name, const fs::path& file,
                     Json& json) {
  for (const auto& [key, value] : settings.items()) {
    const bool without_model = class_name.empty() || class_name == "PreTrainedTokenizer" ||
                               class_name == "TokenizersBackend";
    if (key == "add_prefix_space" && value.is_boolean() && without_model) continue;
    if (key != "add_prefix_space" || !value.is_boolean() || !is_byte_level(class_name)) {
      throw UnsupportedError(
          fmt::format("{}: expected no other setting than add_prefix_space for a tokenizer of one "
                      "of {}, got {} "
                      "for {}. Save the tokenizer with this setting.",
                      file.string(), join_names(byte_level_classes(), byte_level_classes().size()),
                      quote(key), quote(class_name)));
    }
    if (json.is_object() && json.contains("pre_tokenizer")) {
      set_prefix_space(json["pre_tokenizer"], value.get<bool>());
    }
  }
}

bool has_merges(const fs::path& folder) {
  return fs::exists(folder / "vocab.json") && fs::exists(folder / "merges.txt");
}

}  // namespace

std::shared_ptr<Tokenizer> Tokenizer::from_folder(const fs::path& folder, const Json& settings) {
  Json config = read_config(folder);
  for (const auto& [key, value] : settings.items()) config[key] = value;
  add_class_of_model(folder, config);
  std::shared_ptr<Tokenizer> tokenizer;
  if (const auto file = first_of(folder, {"tokenizer.json"})) {
    Json json = read_json_file(*file);
    change_settings(settings, class_of(folder, config), *file, json);
    const auto pipeline = read_pipeline(JsonView(json, file->string()));
    // As transformers: only who asks for a length cuts to it.
    pipeline->set_truncation(std::nullopt);
    tokenizer = pipeline;
  } else if (const auto model =
                 first_of(folder, {"tokenizer.model", "spiece.model", "sentencepiece.bpe.model"})) {
    add_class_of_model(folder, config);
    tokenizer =
        from_sentencepiece(read_text_file(*model, kLargestSentencePiece), config, model->string());
  } else if (const auto vocabulary = first_of(folder, {"vocab.txt"})) {
    tokenizer = open_vocabulary(*vocabulary, config, class_of(folder, config));
  } else if (has_merges(folder)) {
    tokenizer = open_merges(folder, config, class_of(folder, config));
  } else {
    throw NotFoundError(fmt::format(
        "{}: no tokenizer: expected tokenizer.json, tokenizer.model, vocab.txt, or vocab.json and "
        "merges.txt in this folder. Copy them from the model's repository.",
        folder.string()));
  }
  tokenizer->apply_config(config);
  return tokenizer;
}

bool Tokenizer::is_in_folder(const fs::path& folder) {
  return first_of(folder, {"tokenizer.json", "tokenizer.model", "spiece.model",
                           "sentencepiece.bpe.model", "vocab.txt"})
             .has_value() ||
         has_merges(folder);
}

}  // namespace peft::tokenizers
