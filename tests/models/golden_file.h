#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

#include "peft/base/json.h"
#include "peft/models/common/language_model.h"

namespace peft::test {

/// One file of tests/models/golden, read with the few lines that such a small trusted file needs.
struct GoldenFile {
  std::map<std::string, at::Tensor> tensors;
  Json config, new_config;  // the two published spellings of config.json

  const at::Tensor& operator[](const std::string& name) const;

  static GoldenFile read(const std::string& room, const std::string& name);
};

/// The model of a golden file with its weights, in eval mode, parameters frozen.
LanguageModel golden_model(const GoldenFile& file, at::ScalarType dtype = at::kFloat);
LanguageModel golden_model(const GoldenFile& file, const Json& config, at::ScalarType dtype);

/// Names of all golden files of the models' room.
std::vector<std::string> golden_names();

/// max |a - b| / max(1, max |b|), infinite where the shapes differ.
double relative_error(const at::Tensor& got, const at::Tensor& expected);

}  // namespace peft::test
