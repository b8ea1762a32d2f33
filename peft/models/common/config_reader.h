#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>

#include "peft/base/json.h"

namespace peft {

/// Typed access to a checkpoint's config.json, which is untrusted: every value is checked for its
/// type and range before it becomes a size. An absent key or a null gives the default.
class ConfigReader {
 public:
  /// `where` starts every message, for example "config.json". The Json must outlive the reader.
  ConfigReader(const Json& json, std::string where);

  bool has(const std::string& key) const;  // present and not null

  /// An integer from 1 to 2^31 - 1: a size or a count.  Throws: ConfigError.
  int64_t size(const std::string& key, std::optional<int64_t> fallback = std::nullopt) const;
  /// The number of a token, from 0 to 2^31 - 1; a null gives none, an absent key the default.
  /// Throws: ConfigError.
  std::optional<int64_t> token_id(const std::string& key,
                                  std::optional<int64_t> fallback = std::nullopt) const;
  /// Throws: ConfigError where the value is not a finite number.
  double number(const std::string& key, std::optional<double> fallback = std::nullopt) const;
  /// A number from 0 to 1: the probability of a dropout.  Throws: ConfigError.
  double probability(const std::string& key, double fallback) const;
  /// Throws: ConfigError where the value is not true or false.
  bool flag(const std::string& key, bool fallback) const;
  /// Throws: ConfigError where the value is not a string.
  std::string text(const std::string& key,
                   std::optional<std::string> fallback = std::nullopt) const;

  const Json& json() const { return json_; }
  const std::string& where() const { return where_; }

 private:
  [[noreturn]] void refuse(const std::string& key, const std::string& expected) const;

  const Json& json_;
  std::string where_;
};

/// How many labels a model with a head tells apart: those of id2label, else num_labels, else
/// `fallback`.
/// Source: PreTrainedConfig.__post_init__ in transformers/configuration_utils.py.
/// Throws: ConfigError.
int64_t read_num_labels(const ConfigReader& reader, int64_t fallback = 2);

/// pad_token_id, whose row of the embedding gets no gradient; a null gives none.
/// Throws: ConfigError where it is no number below vocab_size.
std::optional<int64_t> read_padding(const ConfigReader& reader, int64_t fallback,
                                    int64_t vocab_size);

/// The same where any number does: one that is no token's finds no padding.
/// Throws: ConfigError where it is no integer.
std::optional<int64_t> read_any_padding(const ConfigReader& reader,
                                        std::optional<int64_t> fallback);

/// Throws: ConfigError where so many layers, or weights of these shapes, fit no computer. All sizes
/// are below 2^31, as size() gives them.
void check_model_sizes(const ConfigReader& reader, int64_t layers,
                       std::initializer_list<std::initializer_list<int64_t>> weights);

}  // namespace peft
