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
                           const std::string& base_model_prefix) {
  OffloadIndex index;
  for (const formats::TensorInfo& tensor : checkpoint.tensors()) {
    if (tensor.file.extension() != ".safetensors") continue;
    index[tensor.name] = {tensor.file, tensor.name};
    // Files of a model's body alone leave its prefix out.
    index.try_emplace(base_model_prefix + "." + tensor.name,
                      OffloadEntry{tensor.file, tensor.name});
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
  warn_of(load_weights(*model, source), *checkpoint, options.warn_of_new_head);
  model->eval();
  if (!options.device_map.empty()) {
    dispatch_model(model, options.device_map,
                   {.offload_dir = options.offload_folder,
                    .offload_index = offload_index(*checkpoint, model->base_model_prefix()),
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
