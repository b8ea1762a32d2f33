#pragma once

#include <torch/nn/module.h>

#include <functional>
#include <string>
#include <vector>

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
  std::vector<std::string> unexpected;  // in the checkpoint, without a place in the model
};

/// Puts a checkpoint's weights into a model whose parameter names are its keys. All names and
/// shapes are checked before the first tensor is read. The tensors are adopted, not copied: where
/// the source shares a file, a later write in place (a merge) has to copy the tensor first.
///
/// Call it before adapters are put on the model. A model that was saved without its head's prefix
/// ("layers.0..." in place of "model.layers.0...") is understood.
/// Throws: MismatchError that names up to ten missing keys or the wrong shape.
LoadReport load_weights(torch::nn::Module& model, const WeightSource& source);

}  // namespace peft
