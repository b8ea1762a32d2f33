#include "peft/generate/generate.h"

#include <ATen/ATen.h>

#include "peft/base/error.h"
#include "peft/generate/beam_search.h"
#include "peft/generate/sampling.h"
#include "peft/generate/step_reader.h"

namespace peft {
namespace {

template <typename Model>
std::vector<Continuation> generate_with(Model& model,
                                        const std::vector<std::vector<int64_t>>& prompts,
                                        const GenerateOptions& options) {
  options.validate();
  if (prompts.empty()) return {};
  const auto reader = make_reader(model, prompts, options);
  if (options.max_new_tokens == 0) {
    return std::vector<Continuation>(prompts.size() *
                                     static_cast<size_t>(options.num_return_sequences));
  }
  c10::InferenceMode inference;
  return options.num_beams > 1 ? beam_search(*reader, options) : sample(*reader, options);
}

// One token, a list of them, or none.
std::vector<int64_t> tokens_of(const Json& config, const char* key) {
  const auto found = config.find(key);
  if (found == config.end() || found->is_null()) return {};
  std::vector<int64_t> tokens;
  for (const auto& token : found->is_array() ? *found : Json::array({*found})) {
    if (!token.is_number_integer() || token < 0) {
      throw ConfigError(std::string("config.json: ") + key + ": expected a token or a list of " +
                        "them, got " + found->dump().substr(0, 100) + ".");
    }
    tokens.push_back(token.get<int64_t>());
  }
  return tokens;
}

}  // namespace

std::vector<Continuation> generate(LanguageModelImpl& model,
                                   const std::vector<std::vector<int64_t>>& prompts,
                                   const GenerateOptions& options) {
  return generate_with(model, prompts, options);
}

std::vector<Continuation> generate(Seq2SeqModelImpl& model,
                                   const std::vector<std::vector<int64_t>>& sources,
                                   const GenerateOptions& options) {
  return generate_with(model, sources, options);
}

GenerateOptions generate_options_of(const Json& config) {
  GenerateOptions options{.stop_token_ids = tokens_of(config, "eos_token_id")};
  options.forced_eos_token_ids = tokens_of(config, "forced_eos_token_id");
  const auto padding = tokens_of(config, "pad_token_id");
  const auto first = tokens_of(config, "forced_bos_token_id");
  if (!padding.empty()) options.pad_token_id = padding.front();
  if (!first.empty()) options.forced_bos_token_id = first.front();
  return options;
}

}  // namespace peft
