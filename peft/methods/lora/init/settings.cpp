#include "peft/methods/lora/init/settings.h"

#include <algorithm>
#include <vector>

#include "peft/base/error.h"
#include "peft/base/json_text.h"
#include "peft/base/text.h"

namespace peft {
namespace {

[[noreturn]] void throw_setting(const std::string& field, const std::string& expected,
                                const std::string& got) {
  throw ConfigError("LoraConfig: " + field + ": expected " + expected + ", got " + got +
                    ". Correct the value.");
}

void check_word(const std::string& field, const std::string& word,
                const std::vector<std::string>& known) {
  if (std::find(known.begin(), known.end(), word) != known.end()) return;
  throw_setting(field, "one of " + join_names(known), "'" + word + "'");
}

}  // namespace

void EvaConfig::validate() const {
  if (!(rho >= 1.0)) throw_setting("eva_config.rho", "a number of at least 1", python_float(rho));
  if (!(tau >= 0.0 && tau <= 1.0)) {
    throw_setting("eva_config.tau", "a number between 0 and 1", python_float(tau));
  }
}

void CordaConfig::validate() const {
  check_word("corda_config.corda_method", corda_method, {"ipm", "kpm"});
}

void LoftQConfig::validate() const {
  if (loftq_bits != 4 && loftq_bits != 8) {
    throw_setting("loftq_config.loftq_bits", "4 or 8", std::to_string(loftq_bits));
  }
  if (loftq_iter <= 0) {
    throw_setting("loftq_config.loftq_iter", "a positive integer", std::to_string(loftq_iter));
  }
}

void LoraGAConfig::validate() const {
  check_word("lora_ga_config.direction", direction, {"ArBr", "A2rBr", "ArB2r", "random"});
  check_word("lora_ga_config.scale", scale, {"stable", "weight_svd", "gd_scale", "unit"});
  if (stable_gamma <= 0) {
    throw_setting("lora_ga_config.stable_gamma", "a positive integer",
                  std::to_string(stable_gamma));
  }
}

void read_value(const Json& json, std::optional<LoftQConfig>& value, const FieldPath& path) {
  value.reset();
  if (json.is_null() || (json.is_object() && json.empty())) return;
  LoftQConfig read;
  read_value(json, read, path);
  value = read;
}

Json write_value(const std::optional<LoftQConfig>& value) {
  return value ? to_json(*value) : Json::object();
}

}  // namespace peft
