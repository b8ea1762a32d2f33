#include "peft/tokenizers/gguf_pre_tokenizers.h"

#include <fmt/core.h>

#include <string_view>
#include <vector>

#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/tokenizers/pre_tokenizers/scanners.h"

namespace peft::tokenizers {
namespace {

// In these, [A-Z] and the like stand as the makers of each model wrote them.
constexpr std::string_view kTekkenPattern =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kGpt4oPattern =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen35Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N})"
    R"(| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kDeepSeekHan = "[一-龥ࠀ-一가-퟿]+";
// Letters that look like others are spelled by number.
constexpr std::string_view kDeepSeekLetters =
    R"(\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅ)"
    R"(Ὀ-Ὅὐ-ὗὙὛὝὟ-\x{1F7D}ᾀ-ᾴᾶ-ᾼ\x{1FBE}ῂ-ῄῆ-ῌῐ-\x{1FD3}ῖ-\x{1FDB}ῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\x{2126}ℨ\x{212A}-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎ)"
    R"(ꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+)";
constexpr std::string_view kDeepSeekSigns = R"(\s?[!-/:-~！-／：-～‘-‟　-。]+)";
constexpr std::string_view kDeepSeek3Kana = "[一-龥぀-ゟ゠-ヿ]+";
constexpr std::string_view kDeepSeek3Pattern =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
    R"(| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kDefaultSigns = R"([\p{P}\$\+<=>\^~\|]+)";
constexpr std::string_view kFalconSigns = R"([\p{P}\$\+<=>\^~\|`]+)";

/// One pattern after the other isolates what it matches.
Json sequence_of(const std::vector<std::string_view>& patterns) {
  Json stages = Json::array();
  for (const std::string_view pattern : patterns) {
    stages.push_back({{"type", "Split"},
                      {"pattern", {{"Regex", pattern}}},
                      {"behavior", "Isolated"},
                      {"invert", false}});
  }
  stages.push_back({{"type", "ByteLevel"},
                    {"add_prefix_space", false},
                    {"trim_offsets", true},
                    {"use_regex", false}});
  return {{"type", "Sequence"}, {"pretokenizers", stages}};
}

Json single_digits() { return {{"type", "Digits"}, {"individual_digits", true}}; }

Json digits_then_gpt2() {
  Json sequence = sequence_of({kGpt2Pattern});
  auto& stages = sequence["pretokenizers"];
  stages.insert(stages.begin(), single_digits());
  return sequence;
}

/// A model family and the names of its pre-tokenizer.
struct Kind {
  std::vector<std::string_view> names;
  GgufPreTokenizer (*make)();
};

GgufPreTokenizer make_llama3() {
  return {.pre_tokenizer = sequence_of({kLlama3Pattern}), .ignore_merges = true, .add_bos = true};
}

GgufPreTokenizer make_qwen2() {
  return {.normalizer = {{"type", "NFC"}}, .pre_tokenizer = sequence_of({kQwen2Pattern})};
}

const std::vector<Kind>& kinds() {
  using Made = GgufPreTokenizer;
  static const std::vector<Kind> all = {
      {{"default"},
       [] {
         return Made{.pre_tokenizer = sequence_of(
                         {kDefaultSigns, kGpt2Pattern, R"(\p{N}+)", "[0-9][0-9][0-9]"})};
       }},
      {{"gpt-2", "phi-2", "jina-es", "jina-de", "gigachat", "a.x-4.0", "mellum", "olmo", "mpt",
        "exaone4", "jais", "trillion", "granite-docling"},
       [] { return Made{.pre_tokenizer = sequence_of({kGpt2Pattern})}; }},
      {{"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"},
       [] { return Made{.pre_tokenizer = digits_then_gpt2()}; }},
      {{"llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"},
       make_llama3},
      {{"dbrx", "smaug-bpe", "chatglm-bpe", "glm4"},
       [] { return Made{.pre_tokenizer = sequence_of({kLlama3Pattern})}; }},
      {{"qwen2"}, make_qwen2},
      {{"deepseek-r1-qwen", "stablelm2", "hunyuan", "megrez", "kormo"},
       [] { return Made{.pre_tokenizer = sequence_of({kQwen2Pattern})}; }},
      {{"qwen35"},
       [] {
         return Made{.normalizer = {{"type", "NFC"}},
                     .pre_tokenizer = sequence_of({kQwen35Pattern})};
       }},
      {{"tekken"},
       [] {
         return Made{.pre_tokenizer = sequence_of({kTekkenPattern}),
                     .ignore_merges = true,
                     .add_bos = true};
       }},
      {{"gpt-4o", "llama4"},
       [] { return Made{.pre_tokenizer = sequence_of({kGpt4oPattern}), .ignore_merges = true}; }},
      {{"deepseek-llm"},
       [] {
         return Made{.pre_tokenizer = sequence_of({"[\r\n]", kDeepSeekLetters, kDeepSeekSigns,
                                                   R"(\s+$)", kDeepSeekHan, R"(\p{N}+)"})};
       }},
      {{"deepseek-coder"},
       [] {
         return Made{.pre_tokenizer = sequence_of(
                         {"[\r\n]", R"(\s?\p{L}+)", R"(\s?\p{P}+)", kDeepSeekHan, R"(\p{N})"})};
       }},
      {{"deepseek-v3"},
       [] {
         return Made{.pre_tokenizer =
                         sequence_of({R"(\p{N}{1,3})", kDeepSeek3Kana, kDeepSeek3Pattern})};
       }},
      {{"falcon"},
       [] {
         return Made{.pre_tokenizer = sequence_of({kFalconSigns, kGpt2Pattern, "[0-9][0-9][0-9]"})};
       }},
  };
  return all;
}

}  // namespace

GgufPreTokenizer find_gguf_pre_tokenizer(const std::string& name, const std::string& where) {
  std::vector<std::string> known;
  for (const Kind& kind : kinds()) {
    for (const std::string_view candidate : kind.names) {
      if (candidate == name) return kind.make();
      known.emplace_back(candidate);
    }
  }
  throw UnsupportedError(fmt::format(
      "{}: tokenizer.ggml.pre: unknown pre-tokenizer: expected one of {}, got {}. Use the model's "
      "folder with its tokenizer.json instead.",
      where, join_names(known, known.size()), quote(name)));
}

}  // namespace peft::tokenizers
