#include "peft/models/registry.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/nn/module.h>

#include <algorithm>

#include "peft/base/error.h"
#include "peft/models/common/config_reader.h"

namespace peft {

#define PEFT_FAMILY(room, ...)                                             \
  namespace room {                                                         \
  LanguageModel make_model(const Json& config, at::TensorOptions options); \
  }
#include "peft/models/families.def"
#undef PEFT_FAMILY

namespace {

struct Family {
  std::vector<std::string> model_types;
  LanguageModel (*make)(const Json&, at::TensorOptions);
};

const std::vector<Family>& families() {
  static const std::vector<Family> all = {
#define PEFT_FAMILY(room, ...) {{__VA_ARGS__}, &room::make_model},
#include "peft/models/families.def"
#undef PEFT_FAMILY
  };
  return all;
}

}  // namespace

LanguageModel make_language_model(const Json& config, const ModelOptions& options) {
  const auto type = ConfigReader(config, "config.json").text("model_type");
  for (const auto& family : families()) {
    const auto& types = family.model_types;
    if (std::find(types.begin(), types.end(), type) == types.end()) continue;
    auto model =
        family.make(config, at::TensorOptions().dtype(options.dtype).device(options.device));
    for (auto& parameter : model->parameters()) parameter.requires_grad_(false);
    return model;
  }
  throw UnsupportedError(fmt::format("config.json: unknown model_type: expected one of {}, got {}.",
                                     fmt::join(known_model_types(), ", "), type));
}

std::vector<std::string> known_model_types() {
  std::vector<std::string> all;
  for (const auto& family : families()) {
    all.insert(all.end(), family.model_types.begin(), family.model_types.end());
  }
  return all;
}

}  // namespace peft
