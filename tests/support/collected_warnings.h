#pragma once

#include <gtest/gtest.h>

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
  /// One of them has all of the parts.
  bool tell_all(const std::vector<std::string>& parts) const {
    return std::any_of(texts_.begin(), texts_.end(), [&](const std::string& text) {
      return std::all_of(parts.begin(), parts.end(), [&](const std::string& part) {
        return text.find(part) != std::string::npos;
      });
    });
  }
  bool empty() const { return texts_.empty(); }

 private:
  std::vector<std::string> texts_;
  WarningSink former_;
};

/// The call warns, in one text, with all of the parts.
template <typename Call>
void expect_warning(const std::vector<std::string>& parts, Call call) {
  const CollectedWarnings warnings;
  call();
  EXPECT_TRUE(warnings.tell_all(parts)) << "expected a warning that says '" << parts.front() << "'";
}

}  // namespace peft::test
