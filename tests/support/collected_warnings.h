#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "peft/base/warnings.h"

namespace peft::test {

/// Keeps the warnings of its lifetime.
class CollectedWarnings {
 public:
  CollectedWarnings()
      : former_(set_warning_sink([this](const std::string& text) { texts_.push_back(text); })) {}
  ~CollectedWarnings() { set_warning_sink(former_); }
  CollectedWarnings(const CollectedWarnings&) = delete;
  CollectedWarnings& operator=(const CollectedWarnings&) = delete;

  bool tell(const std::string& part) const {
    return std::any_of(texts_.begin(), texts_.end(), [&](const std::string& text) {
      return text.find(part) != std::string::npos;
    });
  }
  bool empty() const { return texts_.empty(); }

 private:
  std::vector<std::string> texts_;
  WarningSink former_;
};

}  // namespace peft::test
