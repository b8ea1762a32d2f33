#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <memory>
#include <optional>

#include "peft/chat_tokenizer.h"
#include "peft/formats/checkpoint.h"
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
};

/// Builds the model that a checkpoint describes and gives it its weights, in eval mode.
/// Throws: UnsupportedError (unknown model_type), MismatchError, FormatError; what dispatch_model
/// throws.
LanguageModel load_language_model(const std::shared_ptr<formats::Checkpoint>& checkpoint,
                                  const AutoOptions& options = {});

/// The type in which a checkpoint is computed with unless the caller says otherwise: the file's;
/// for quantised files bfloat16 where the device multiplies it, else float32.
at::ScalarType default_dtype(const formats::Checkpoint& checkpoint, at::Device device = at::kCPU);

/// The weights that a checkpoint keeps in safetensors files, by their names in the model.
OffloadIndex offload_index(const formats::Checkpoint& checkpoint);

/// A checkpoint with everything that is in it.
struct OpenedModel {
  std::shared_ptr<formats::Checkpoint> checkpoint = {};
  LanguageModel model = {};
  std::shared_ptr<const ChatTokenizer> text = {};  // null: the checkpoint has no tokenizer
};

/// Opens a Hugging Face folder or a GGUF file.
/// Throws: NotFoundError, FormatError, UnsupportedError, MismatchError.
OpenedModel open_model(const std::filesystem::path& path, const AutoOptions& options = {});

}  // namespace peft
