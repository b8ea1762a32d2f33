#include "peft/auto.h"

#include <fmt/core.h>

#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/base/warnings.h"
#include "peft/models/common/load_weights.h"
#include "peft/models/registry.h"
#include "peft/tensor/device.h"
#include "peft/tensor/product_dtype.h"

namespace peft {
namespace {

namespace fs = std::filesystem;

// The map may name a device of its own.
std::optional<at::Device> wanted_device(const AutoOptions& options) {
  return options.device.is_cpu() ? std::nullopt : std::optional(options.device);
}

// A number of labels gives them new names, as in transformers.
Json changed(Json config, const Json& changes) {
  if (changes.contains("num_labels")) {
    config.erase("id2label");
    config.erase("label2id");
  }
  config.update(changes);
  return config;
}

void warn_of(const LoadReport& report, const formats::Checkpoint& checkpoint, bool with_head) {
  const auto place = checkpoint.path().string();
  if (!report.unexpected.empty()) {
    warn(fmt::format("{}: {} tensors have no place in the model and are ignored: {}.", place,
                     report.unexpected.size(), join_names(report.unexpected)));
  }
  if (with_head && !report.initialised.empty()) {
    warn(
        fmt::format("{}: {} tensors of the head are not in the checkpoint and begin with random "
                    "numbers: {}. Train them before use.",
                    place, report.initialised.size(), join_names(report.initialised)));
  }
}

}  // namespace

at::ScalarType default_dtype(const formats::Checkpoint& checkpoint, at::Device device) {
  if (const auto dtype = checkpoint.dtype()) return *dtype;
  return !device.is_cpu() || multiplies_bfloat16_fast() ? at::kBFloat16 : at::kFloat;
}

OffloadIndex offload_index(const formats::Checkpoint& checkpoint,
                           const std::map<std::string, std::string>& placed) {
  std::map<std::string, fs::path> files;
  for (const formats::TensorInfo& tensor : checkpoint.tensors()) {
    if (tensor.file.extension() == ".safetensors") files[tensor.name] = tensor.file;
  }
  OffloadIndex index;
  for (const auto& [name, key] : placed) {
    if (const auto file = files.find(key); file != files.end()) index[name] = {file->second, key};
  }
  return index;
}

PretrainedModel load_model(const std::shared_ptr<formats::Checkpoint>& checkpoint, ModelTask task,
                           const AutoOptions& options) {
  const at::ScalarType dtype = options.dtype.value_or(default_dtype(*checkpoint, options.device));
  const PretrainedModel model =
      make_model(changed(checkpoint->config(), options.config), task,
                 {.dtype = dtype, .device = checked_device(options.device, "device")});
  WeightSource source;
  for (const auto& tensor : checkpoint->tensors())
    source.entries.push_back({tensor.name, tensor.shape});
  source.read = [checkpoint](const std::string& name, at::ScalarType wanted) {
    return checkpoint->load(name, wanted);
  };
  const LoadReport report = load_weights(*model, source);
  warn_of(report, *checkpoint, options.warn_of_new_head);
  model->eval();
  if (!options.device_map.empty()) {
    dispatch_model(model, options.device_map,
                   {.offload_dir = options.offload_folder,
                    .offload_index = offload_index(*checkpoint, report.placed),
                    .execution_device = wanted_device(options)});
  }
  model->set_name_or_path(checkpoint->path().string());
  return model;
}

std::future<std::shared_ptr<const ChatTokenizer>> read_tokenizer_beside(
    std::shared_ptr<formats::Checkpoint> checkpoint) {
  return std::async(std::launch::async, [checkpoint = std::move(checkpoint)] {
    const bool there = checkpoint->tokenizer_file() || checkpoint->gguf_metadata().is_object();
    return there ? ChatTokenizer::from_checkpoint(*checkpoint) : nullptr;
  });
}

OpenedModel open_model(const std::filesystem::path& path, const AutoOptions& options) {
  OpenedModel opened{.checkpoint = formats::Checkpoint::open(path)};
  auto text = read_tokenizer_beside(opened.checkpoint);
  opened.model = load_language_model(opened.checkpoint, options);
  opened.text = text.get();
  return opened;
}

}  // namespace peft
