#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "peft/chat_tokenizer.h"
#include "peft/formats/checkpoint.h"
#include "peft/models/common/encoder_model.h"
#include "peft/models/common/language_model.h"
#include "peft/offload.h"

namespace peft {

struct AutoOptions {
  /// The type of the weights; unset: the file's own, for quantised files see default_dtype.
  std::optional<at::ScalarType> dtype = {};
  /// Where the weights go, and what is computed with them.
  at::Device device = at::kCPU;
  /// Places for parts of the model beside `device`: see dispatch_model. Weights on disk are read
  /// from the checkpoint's own files where these are safetensors, else written to offload_folder.
  DeviceMap device_map = {};
  std::filesystem::path offload_folder = {};
  /// Keys of config.json with other values, as Python's from_pretrained takes them:
  /// {"num_labels": 6}, {"problem_type": "regression"}.
  Json config = Json::object();
  /// Whether to warn of a head that begins with random numbers.
  bool warn_of_new_head = true;
};

/// Builds the model that a checkpoint describes, for a task, and gives it its weights, in eval
/// mode. A head that the checkpoint lacks begins with random numbers, with a warning. Throws:
/// UnsupportedError (unknown model_type, or no model for the task), ConfigError, MismatchError,
/// FormatError; what dispatch_model throws.
PretrainedModel load_model(const std::shared_ptr<formats::Checkpoint>& checkpoint, ModelTask task,
                           const AutoOptions& options = {});

/// The same with the type of the model: see make_model. `Model` is LanguageModelImpl,
/// TaskModelImpl, EncoderModelImpl, ...
template <typename Model>
std::shared_ptr<Model> load_model_as(const std::shared_ptr<formats::Checkpoint>& checkpoint,
                                     ModelTask task, const AutoOptions& options = {}) {
  return std::dynamic_pointer_cast<Model>(load_model(checkpoint, task, options));
}

/// The same for a language model.
inline LanguageModel load_language_model(const std::shared_ptr<formats::Checkpoint>& checkpoint,
                                         const AutoOptions& options = {}) {
  return load_model_as<LanguageModelImpl>(checkpoint, ModelTask::kCausalLM, options);
}

/// The type in which a checkpoint is computed with unless the caller says otherwise: the file's;
/// for quantised files bfloat16 where the device multiplies it, else float32.
at::ScalarType default_dtype(const formats::Checkpoint& checkpoint, at::Device device = at::kCPU);

/// The weights that a checkpoint keeps in safetensors files, by their names in the model that
/// load_weights gave them to.  placed: LoadReport::placed
OffloadIndex offload_index(const formats::Checkpoint& checkpoint,
                           const std::map<std::string, std::string>& placed);

/// A checkpoint with everything that is in it.
struct OpenedModel {
  std::shared_ptr<formats::Checkpoint> checkpoint = {};
  LanguageModel model = {};
  std::shared_ptr<const ChatTokenizer> text = {};  // null: the checkpoint has no tokenizer
};

/// Reads a checkpoint's tokenizer beside whatever the caller does meanwhile, as it takes about as
/// long as the weights. It gives null where there is none, and throws what
/// ChatTokenizer::from_checkpoint throws.
std::future<std::shared_ptr<const ChatTokenizer>> read_tokenizer_beside(
    std::shared_ptr<formats::Checkpoint> checkpoint);

/// Opens a Hugging Face folder or a GGUF file.
/// Throws: NotFoundError, FormatError, UnsupportedError, MismatchError.
OpenedModel open_model(const std::filesystem::path& path, const AutoOptions& options = {});

}  // namespace peft
