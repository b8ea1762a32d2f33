#include "peft/label_set.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "peft/base/error.h"
#include "peft/base/file.h"
#include "peft/base/json_text.h"
#include "peft/base/text.h"

namespace peft {
namespace {

constexpr const char* kLabelsFile = "labels.json";
constexpr const char* kRegression = "regression";
constexpr const char* kOneLabel = "single_label_classification";
constexpr const char* kManyLabels = "multi_label_classification";

std::string problem_of(const std::vector<train::TaskRow>& rows) {
  const auto& first = rows.front().label;
  if (first.is_array()) return kManyLabels;
  const bool fractions = std::any_of(rows.begin(), rows.end(), [](const train::TaskRow& row) {
    return row.label.is_number_float();
  });
  return fractions ? kRegression : kOneLabel;
}

void check_label(const Json& label, const std::string& where) {
  if (label.is_string() || label.is_number_integer() || label.is_boolean()) return;
  throw FormatError(fmt::format("{}: label: expected a name or a whole number, got {}.", where,
                                label.type_name()));
}

// Whole numbers before names, and in their order.
bool comes_before(const std::string& a, const std::string& b) {
  const auto x = whole_number<int64_t>(a), y = whole_number<int64_t>(b);
  if (x && y) return *x < *y;
  return x.has_value() != y.has_value() ? x.has_value() : a < b;
}

}  // namespace

std::string label_name(const Json& label) {
  return label.is_string() ? label.get<std::string>() : label.dump();
}

Json LabelSet::model_config() const {
  Json config = {{"num_labels", names.size()}};
  if (!problem_type.empty()) config["problem_type"] = problem_type;
  config["id2label"] = Json::object();
  config["label2id"] = Json::object();
  for (size_t i = 0; i < names.size(); ++i) {
    config["id2label"][std::to_string(i)] = names[i];
    config["label2id"][names[i]] = i;
  }
  return config;
}

int64_t LabelSet::number_of(const std::string& name, const std::string& where) const {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found != names.end()) return found - names.begin();
  throw ConfigError(
      fmt::format("{}: label: expected one of {}, got {}. Only labels of the training set can be "
                  "learnt: add a row of it there, or remove this one.",
                  where, join_names(names), quote(name)));
}

void LabelSet::save(const std::filesystem::path& folder) const {
  Json labels = model_config();
  labels.erase("num_labels");
  write_file_atomically(folder / kLabelsFile, dump_json(labels, {.final_newline = true}));
}

LabelSet LabelSet::load(const std::filesystem::path& folder) {
  const auto file = folder / kLabelsFile;
  const Json labels = read_json_file(file);
  const auto refuse = [&](const std::string& got) {
    throw FormatError(file.string() +
                      ": id2label: expected the names of the labels 0, 1, ..., got " + got + ".");
  };
  if (!labels.is_object() || !labels.contains("id2label") || !labels["id2label"].is_object()) {
    refuse("none");
  }
  LabelSet set;
  if (const auto type = labels.find("problem_type"); type != labels.end() && type->is_string()) {
    set.problem_type = type->get<std::string>();
  }
  const Json& names = labels["id2label"];
  for (size_t i = 0; i < names.size(); ++i) {
    const auto name = names.find(std::to_string(i));
    if (name == names.end() || !name->is_string()) refuse("none for " + std::to_string(i));
    set.names.push_back(name->get<std::string>());
  }
  if (set.names.empty()) refuse("none");
  return set;
}

LabelSet LabelSet::numbered(int64_t labels) {
  LabelSet set;
  for (int64_t i = 0; i < labels; ++i) set.names.push_back(fmt::format("LABEL_{}", i));
  return set;
}

LabelSet find_labels(const std::vector<train::TaskRow>& rows, train::RowTask task,
                     const std::string& problem_type) {
  const bool tokens = task == train::RowTask::kTokenClassification;
  LabelSet set{.problem_type = problem_type};
  if (!tokens && set.problem_type.empty()) set.problem_type = problem_of(rows);
  if (set.problem_type == kRegression) {
    const Json& first = rows.front().label;
    set.names = LabelSet::numbered(first.is_array() ? static_cast<int64_t>(first.size()) : 1).names;
    return set;
  }
  const bool lists = tokens || set.problem_type == kManyLabels;
  std::set<std::string> found;
  for (const train::TaskRow& row : rows) {
    if (row.label.is_array() != lists) {
      throw FormatError(fmt::format("{}: label: expected {}, as in {}, got {}.", row.where,
                                    lists ? "a list of labels" : "one label", rows.front().where,
                                    row.label.type_name()));
    }
    if (!lists) check_label(row.label, row.where);
    for (const Json& label : lists ? row.label : Json::array({row.label})) {
      check_label(label, row.where);
      found.insert(label_name(label));
    }
  }
  set.names.assign(found.begin(), found.end());
  std::sort(set.names.begin(), set.names.end(), comes_before);
  return set;
}

}  // namespace peft
