#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <memory>
#include <optional>

#include "peft/chat_tokenizer.h"
#include "peft/formats/checkpoint.h"
#include "peft/models/common/language_model.h"

namespace peft {

struct AutoOptions {
  /// The type of the weights; unset: the file's own, for quantised files see default_dtype.
  std::optional<at::ScalarType> dtype = {};
};

/// Builds the model that a checkpoint describes and gives it its weights, in eval mode.
/// Throws: UnsupportedError (unknown model_type), MismatchError, FormatError.
LanguageModel load_language_model(const std::shared_ptr<formats::Checkpoint>& checkpoint,
                                  const AutoOptions& options = {});

/// The type in which a checkpoint is computed with unless the caller says otherwise: the file's;
/// for quantised files bfloat16 where the processor multiplies it, else float32.
at::ScalarType default_dtype(const formats::Checkpoint& checkpoint);

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
