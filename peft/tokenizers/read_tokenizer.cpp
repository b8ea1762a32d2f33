#include <fmt/core.h>

#include <algorithm>
#include <iterator>

#include "peft/base/error.h"
#include "peft/base/file.h"
#include "peft/base/json_text.h"
#include "peft/base/text.h"
#include "peft/tokenizers/pipeline.h"

namespace peft::tokenizers {
namespace {

constexpr int64_t kMost = INT32_MAX;

TruncationStrategy read_strategy(const JsonView& truncation) {
  const std::string strategy = truncation.string("strategy", "LongestFirst");
  if (strategy == "LongestFirst") return TruncationStrategy::kLongestFirst;
  if (strategy == "OnlyFirst") return TruncationStrategy::kOnlyFirst;
  if (strategy == "OnlySecond") return TruncationStrategy::kOnlySecond;
  truncation.at("strategy")
      .fail("expected LongestFirst, OnlyFirst or OnlySecond, got " + quote(strategy));
}

std::optional<Truncation> read_truncation(const JsonView& json) {
  if (!json.has("truncation")) return std::nullopt;
  const JsonView part = json.at("truncation");
  const std::string direction = part.string("direction", "Right");
  if (direction != "Right" && direction != "Left") {
    part.at("direction").fail("expected Right or Left, got " + quote(direction));
  }
  return Truncation{static_cast<size_t>(part.at("max_length").integer(kMost)),
                    direction == "Right" ? Side::kRight : Side::kLeft, read_strategy(part)};
}

PaddingStyle read_padding(const JsonView& json) {
  if (!json.has("padding")) return {};
  const JsonView part = json.at("padding");
  return {part.has("pad_id") ? part.at("pad_id").integer(kMost) : 0,
          part.has("pad_type_id") ? part.at("pad_type_id").integer(kMost) : 0};
}

}  // namespace

std::shared_ptr<Pipeline> read_pipeline(const JsonView& json, std::vector<AddedToken> more) {
  Stages stages;
  if (json.has("normalizer")) stages.normalizer = read_normalizer(json.at("normalizer"));
  if (json.has("pre_tokenizer")) {
    const JsonView part = json.at("pre_tokenizer");
    stages.pre_tokenizer = read_pre_tokenizer(part);
  }
  stages.model = read_model(json.at("model"));
  if (json.has("decoder")) stages.decoder = read_decoder(json.at("decoder"));
  auto added = json.has("added_tokens") ? read_added_tokens(json.at("added_tokens"))
                                        : std::vector<AddedToken>{};
  std::move(more.begin(), more.end(), std::back_inserter(added));
  auto tokenizer = std::make_shared<Pipeline>(std::move(stages), added);
  if (json.has("post_processor")) {
    tokenizer->set_processor(read_processor(json.at("post_processor"), *tokenizer));
  }
  tokenizer->set_truncation(read_truncation(json));
  tokenizer->set_padding(read_padding(json));
  return tokenizer;
}

std::shared_ptr<Tokenizer> Tokenizer::from_json(std::string_view text, const std::string& where) {
  const Json json = parse_json(text, where);
  return read_pipeline(JsonView(json, where));
}

std::shared_ptr<Tokenizer> Tokenizer::from_file(const std::filesystem::path& file) {
  return from_json(read_text_file(file), file.string());
}

}  // namespace peft::tokenizers
