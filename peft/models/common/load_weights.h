#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "peft/models/common/pretrained_model.h"

namespace peft {

/// Where a model's weights come from: a checkpoint seen without its file format.
struct WeightSource {
  struct Entry {
    std::string name;  // the checkpoint's key
    std::vector<int64_t> shape;
  };
  std::vector<Entry> entries;
  /// Reads one tensor in `dtype`. May share a mapped file: the model then reads the file's pages
  /// and must not write to them. Called from several threads at once.
  std::function<at::Tensor(const std::string& name, at::ScalarType dtype)> read;
};

/// What loading found.
struct LoadReport {
  std::map<std::string, std::string> placed;  // the checkpoint's key of each parameter and buffer
  std::vector<std::string> unexpected;        // in the checkpoint, without a place in the model
  std::vector<std::string> initialised;       // of the head, not in the checkpoint: random numbers
};

/// Puts a checkpoint's weights into a model whose parameter names are its keys. All names and
/// shapes are checked before the first tensor is read. The tensors are adopted, not copied: where
/// the source shares a file, a later write in place (a merge) has to copy the tensor first.
///
/// Call it before adapters are put on the model. A checkpoint of the body alone is understood,
/// whose keys lack the body's prefix ("layers.0..." in place of "model.layers.0..."), and one with
/// a head where the model is the body; so are the old names of a layer norm, gamma and beta. Where
/// the head is the embedding and the checkpoint has another weight for it, it becomes the head's
/// own. A head that the checkpoint lacks begins with random numbers of libtorch's generator, as in
/// transformers.
/// Throws: MismatchError that names up to ten missing keys or the wrong shape.
LoadReport load_weights(PretrainedModelImpl& model, const WeightSource& source);

}  // namespace peft
