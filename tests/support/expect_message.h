#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace peft::test {

/// The call throws an `Expected` whose message has all of the parts.
template <typename Expected, typename Call>
void expect_message(const std::vector<std::string>& parts, Call call) {
  try {
    call();
    ADD_FAILURE() << "expected an error that says '" << (parts.empty() ? "" : parts.front()) << "'";
  } catch (const Expected& error) {
    const std::string text = error.what();
    for (const std::string& part : parts) {
      EXPECT_NE(text.find(part), std::string::npos) << "'" << part << "' in: " << text;
    }
  }
}

}  // namespace peft::test
