#include "peft/prompt_tokenizer.h"

#include <algorithm>
#include <array>
#include <filesystem>

#include "peft/base/error.h"
#include "peft/base/json_text.h"
#include "peft/base/text.h"
#include "peft/chat_tokenizer.h"
#include "peft/hub/resolve.h"

namespace peft {
namespace {

constexpr std::array kWithoutEffect{"use_fast",         "trust_remote_code",
                                    "padding_side",     "truncation_side",
                                    "model_max_length", "clean_up_tokenization_spaces"};

/// The arguments, read one after the other.
struct TokenizerArguments {
  hub::ResolveOptions place = {};
  Json settings = Json::object();  // of the tokenizer itself
};

[[noreturn]] void throw_bad_argument(const std::string& key, const std::string& expected,
                                     const Json& got) {
  throw ConfigError("tokenizer_kwargs: " + key + ": expected " + expected + ", got " +
                    dump_json(got, {.indent = std::nullopt}) + ".");
}

std::string text_argument(const std::string& key, const Json& value) {
  if (!value.is_string()) throw_bad_argument(key, "a text or null", value);
  return value.get<std::string>();
}

bool flag_argument(const std::string& key, const Json& value) {
  if (!value.is_boolean()) throw_bad_argument(key, "true, false or null", value);
  return value.get<bool>();
}

hub::Settings& settings_of(TokenizerArguments& arguments) {
  auto& settings = arguments.place.settings;
  if (!settings) settings = hub::settings_from_environment();
  return *settings;
}

void read_argument(const std::string& key, const Json& value, TokenizerArguments& arguments) {
  if (key == "revision") {
    arguments.place.revision = text_argument(key, value);
  } else if (key == "subfolder") {
    arguments.place.subfolder = text_argument(key, value);
  } else if (key == "cache_dir") {
    settings_of(arguments).cache = text_argument(key, value);
  } else if (key == "local_files_only") {
    settings_of(arguments).offline |= flag_argument(key, value);
  } else if (key == "token") {
    // True: the one that is saved; false: none.
    if (value.is_string()) settings_of(arguments).token = hub::Token(value.get<std::string>());
    if (!value.is_string() && !flag_argument(key, value)) settings_of(arguments).token = {};
  } else if (key == "add_prefix_space") {
    arguments.settings[key] = flag_argument(key, value);
  } else {
    throw UnsupportedError(
        "tokenizer_kwargs: expected revision, subfolder, token, cache_dir, local_files_only, "
        "add_prefix_space, " +
        join(std::vector<std::string>(kWithoutEffect.begin(), kWithoutEffect.end()), ", ") +
        ", got " + quote(key) + ". Save the tokenizer with this setting and name its folder.");
  }
}

TokenizerArguments arguments_of(const Json& kwargs) {
  TokenizerArguments arguments;
  if (!kwargs.is_object()) return arguments;
  for (const auto& [key, value] : kwargs.items()) {
    const bool matters =
        std::find(kWithoutEffect.begin(), kWithoutEffect.end(), key) == kWithoutEffect.end();
    if (matters && !value.is_null()) read_argument(key, value, arguments);
  }
  return arguments;
}

// A folder of this machine has no revisions, and its subfolders are its own.
std::filesystem::path place_of(const std::string& tokenizer, const hub::ResolveOptions& options) {
  std::error_code error;
  if (std::filesystem::exists(tokenizer, error)) {
    return std::filesystem::path(tokenizer) / options.subfolder;
  }
  return hub::tokenizer_folder(tokenizer, options);
}

}  // namespace

std::vector<int64_t> tokens_of_init_text(const std::string& tokenizer, const Json& kwargs,
                                         const std::string& text) {
  const TokenizerArguments arguments = arguments_of(kwargs);
  const auto place = place_of(tokenizer, arguments.place);
  if (arguments.settings.empty()) return ChatTokenizer::open(place)->encode(text);
  return tokenizers::Tokenizer::from_folder(place, arguments.settings)->encode(text).ids;
}

}  // namespace peft
