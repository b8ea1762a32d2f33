#pragma once

#include "peft/base/json_text.h"

namespace peft::train {

/// The numbers that golden.py wrote.
inline const Json& golden() {
  static const Json numbers =
      read_json_file(std::string(PEFT_SOURCE_DIR) + "/tests/train/golden/training.json");
  return numbers;
}

}  // namespace peft::train
