#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace peft {

/// A tensor of a file whose shape is not that of its place in the model.
struct ShapeMismatch {
  std::string name;  // the key of the file
  std::vector<int64_t> file_shape, model_shape;
};

/// Which tensors of a file went where.
struct LoadResult {
  std::vector<std::string> matched = {};       // keys of the file that were used
  std::vector<std::string> missing = {};       // keys that the adapter has and the file lacks
  std::vector<std::string> unexpected = {};    // keys of the file without a place in the model
  std::vector<ShapeMismatch> mismatched = {};  // passed over, as ignore_mismatched_sizes asks for

  /// True where every tensor of the file and of the adapter found its counterpart, or was passed
  /// over because its shape differs.
  bool complete() const { return missing.empty() && unexpected.empty(); }

  /// "4 tensors were loaded; missing: 'a'; unexpected: 'b'; other shapes: 'c' (file [2, 4], model
  /// [3, 4])": what is empty is left out.
  std::string report() const;
};

/// How strict the filling of an adapter is.
struct LoadStateOptions {
  bool strict = false;  // missing and unexpected keys are an error
  bool ignore_mismatched_sizes = false;
};

}  // namespace peft
