#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cli/adapted_model.h"

namespace peft::cli {

/// The flags of a command whose model may have several adapters.
struct NamedAdaptersOptions {
  ModelOptions model = {};
  std::vector<std::string> adapter = {};

  static void fields(auto& self, auto&& field) {
    ModelOptions::fields(
        self.model, [&](std::string_view name, auto& value, std::string_view help, auto... marks) {
          if (name == "adapter") {
            field(name, self.adapter,
                  "Folder or repository of the Hub with an adapter to put on the model, or "
                  "NAME=DIR; may be repeated: the first "
                  "one is active.",
                  marks...);
          } else {
            field(name, value, help, marks...);
          }
        });
  }

  /// The adapters in their order; one without a name is called "default".
  /// Throws: UsageError where a name is empty, stands there twice or is `__base__`.
  std::vector<NamedAdapter> adapters() const;
};

}  // namespace peft::cli
