#include "peft/models/registry.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/nn/module.h>

#include <algorithm>

#include "peft/base/error.h"
#include "peft/models/common/config_reader.h"

namespace peft {

#define PEFT_FAMILY(room, ...)                                                               \
  namespace room {                                                                           \
  PretrainedModel make_model(const Json& config, ModelTask task, at::TensorOptions options); \
  }
#include "peft/models/families.def"
#undef PEFT_FAMILY

namespace {

struct Family {
  std::vector<std::string> model_types;
  PretrainedModel (*make)(const Json&, ModelTask, at::TensorOptions);
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

PretrainedModel make_model(const Json& config, ModelTask task, const ModelOptions& options) {
  const auto type = ConfigReader(config, "config.json").text("model_type");
  const auto found = std::find_if(families().begin(), families().end(), [&](const Family& family) {
    const auto& types = family.model_types;
    return std::find(types.begin(), types.end(), type) != types.end();
  });
  if (found == families().end()) {
    throw UnsupportedError(
        fmt::format("config.json: unknown model_type: expected one of {}, got {}.",
                    fmt::join(known_model_types(), ", "), type));
  }
  const auto tensors = at::TensorOptions().dtype(options.dtype).device(options.device);
  auto model = found->make(config, task, tensors);
  if (!model) {
    throw UnsupportedError(fmt::format(
        "config.json: model_type {}: expected a family with a model for {}, got one without. "
        "Choose a base model that was made for the task.",
        type, task_name(task)));
  }
  for (auto& parameter : model->parameters()) parameter.requires_grad_(false);
  return model;
}

LanguageModel make_language_model(const Json& config, const ModelOptions& options) {
  return std::dynamic_pointer_cast<LanguageModelImpl>(
      make_model(config, ModelTask::kCausalLM, options));
}

std::vector<std::string> known_model_types() {
  std::vector<std::string> all;
  for (const auto& family : families()) {
    all.insert(all.end(), family.model_types.begin(), family.model_types.end());
  }
  return all;
}

}  // namespace peft
