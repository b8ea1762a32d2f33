#include "peft/auto.h"

#include <fmt/core.h>

#include <future>

#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/base/warnings.h"
#include "peft/models/common/load_weights.h"
#include "peft/models/registry.h"
#include "peft/tensor/product_dtype.h"

namespace peft {

at::ScalarType default_dtype(const formats::Checkpoint& checkpoint) {
  if (const auto dtype = checkpoint.dtype()) return *dtype;
  return multiplies_bfloat16_fast() ? at::kBFloat16 : at::kFloat;
}

LanguageModel load_language_model(const std::shared_ptr<formats::Checkpoint>& checkpoint,
                                  const AutoOptions& options) {
  const at::ScalarType dtype = options.dtype.value_or(default_dtype(*checkpoint));
  LanguageModel model = make_language_model(checkpoint->config(), {.dtype = dtype});
  WeightSource source;
  for (const auto& tensor : checkpoint->tensors())
    source.entries.push_back({tensor.name, tensor.shape});
  source.read = [checkpoint](const std::string& name, at::ScalarType wanted) {
    return checkpoint->load(name, wanted);
  };
  const LoadReport report = load_weights(*model, source);
  if (!report.unexpected.empty()) {
    warn(fmt::format("{}: {} tensors have no place in the model and are ignored: {}.",
                     checkpoint->path().string(), report.unexpected.size(),
                     join_names(report.unexpected)));
  }
  model->eval();
  model->set_name_or_path(checkpoint->path().string());
  return model;
}

OpenedModel open_model(const std::filesystem::path& path, const AutoOptions& options) {
  OpenedModel opened{.checkpoint = formats::Checkpoint::open(path)};
  // The tokenizer takes about as long to read as the weights: both at once.
  std::future<std::shared_ptr<const ChatTokenizer>> text;
  if (opened.checkpoint->tokenizer_file() || opened.checkpoint->gguf_metadata().is_object()) {
    text = std::async(std::launch::async,
                      [&] { return ChatTokenizer::from_checkpoint(*opened.checkpoint); });
  }
  opened.model = load_language_model(opened.checkpoint, options);
  if (text.valid()) opened.text = text.get();
  return opened;
}

}  // namespace peft
