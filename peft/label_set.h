#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "peft/train/task_row.h"

namespace peft {

/// What the scores of a head stand for: the name of each label, and how a row has them.
struct LabelSet {
  std::vector<std::string> names = {};
  /// As in config.json: regression, single_label_classification, multi_label_classification; empty
  /// for classes of tokens.
  std::string problem_type = {};

  /// The keys of config.json that a base model with such a head has: num_labels, id2label,
  /// label2id, problem_type.
  Json model_config() const;

  /// The number of a label.  Throws: ConfigError that begins with `where` and lists the names.
  int64_t number_of(const std::string& name, const std::string& where) const;

  /// Writes labels.json (id2label, label2id, problem_type) into an adapter's folder, and reads it.
  /// Throws: IoError; NotFoundError, FormatError.
  void save(const std::filesystem::path& folder) const;
  static LabelSet load(const std::filesystem::path& folder);

  /// LABEL_0, LABEL_1, ... as transformers calls them.
  static LabelSet numbered(int64_t labels);
};

/// A label of a row as the name that labels.json has for it.
std::string label_name(const Json& label);

/// The labels of a data set, whole numbers in their order and other names by their characters.
/// `problem_type`: empty to tell it by the rows: lists are many labels a row, numbers with a
/// fraction a regression, all else one label a row.
/// Throws: FormatError where rows do not fit each other.
LabelSet find_labels(const std::vector<train::TaskRow>& rows, train::RowTask task,
                     const std::string& problem_type = {});

}  // namespace peft
