#include "peft/adapter/load_result.h"

#include <algorithm>

#include "peft/base/text.h"

namespace peft {

std::string LoadResult::report() const {
  std::string text = std::to_string(matched.size()) +
                     (matched.size() == 1 ? " tensor was loaded" : " tensors were loaded");
  if (!missing.empty()) text += "; missing: " + join_names(missing);
  if (!unexpected.empty()) text += "; unexpected: " + join_names(unexpected);
  constexpr size_t kShown = 10;
  for (size_t i = 0; i < std::min(mismatched.size(), kShown); ++i) {
    const ShapeMismatch& one = mismatched[i];
    text += (i == 0 ? "; other shapes: " : ", ") + quote(one.name) + " (file " +
            shape_text(one.file_shape) + ", model " + shape_text(one.model_shape) + ")";
  }
  if (mismatched.size() > kShown) {
    text += " and " + std::to_string(mismatched.size() - kShown) + " more";
  }
  return text;
}

}  // namespace peft
