#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

#include "peft/base/json.h"
#include "peft/models/common/language_model.h"
#include "peft/models/common/load_weights.h"

namespace peft::test {

/// One file of golden tensors, read with the few lines that such a small trusted file needs.
struct GoldenFile {
  std::map<std::string, at::Tensor> tensors;
  std::map<std::string, std::string> metadata;
  Json config, new_config;  // the two published spellings of config.json

  const at::Tensor& operator[](const std::string& name) const;

  /// The tensors "weight/<key>" as a checkpoint; the file must outlive it.
  WeightSource weights() const;

  static GoldenFile read(const std::string& room, const std::string& name);
  static GoldenFile open(const std::string& path);
};

/// The model of a golden file with its weights, in eval mode, parameters frozen.
LanguageModel golden_model(const GoldenFile& file, at::ScalarType dtype = at::kFloat);
LanguageModel golden_model(const GoldenFile& file, const Json& config, at::ScalarType dtype);

/// Names of all golden files of the models' room.
std::vector<std::string> golden_names();

/// max |a - b| / max(1, max |b|), infinite where the shapes differ.
double relative_error(const at::Tensor& got, const at::Tensor& expected);

}  // namespace peft::test
