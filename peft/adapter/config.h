#pragma once

#include <any>
#include <concepts>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "peft/adapter/config_values.h"
#include "peft/base/error.h"
#include "peft/base/json_fields.h"

namespace peft {

/// The version of Python PEFT whose files and behaviour this library follows; written into new
/// configs.
inline constexpr std::string_view kPeftVersion = "0.21.2";

/// Views of the fields that the machinery reads or fills in, whatever the method. A field that a
/// method's config lacks is null.
struct SharedFields {
  std::optional<std::string>* task_type = nullptr;
  Json* auto_mapping = nullptr;
  std::optional<std::string>* base_model_name_or_path = nullptr;
  std::optional<std::string>* revision = nullptr;
  bool* inference_mode = nullptr;
  TargetModules* target_modules = nullptr;
  NamesOrPattern* exclude_modules = nullptr;
  LayerIndices* layers_to_transform = nullptr;
  NamesOrPattern* layers_pattern = nullptr;
  std::optional<std::vector<std::string>>* modules_to_save = nullptr;
  Json* trainable_token_indices = nullptr;
  std::optional<std::vector<std::string>>* target_parameters = nullptr;
  std::string* bias = nullptr;
  std::vector<std::pair<std::string, int64_t>>* rank_pattern = nullptr;
  std::vector<std::pair<std::string, Number>>* alpha_pattern = nullptr;
  bool* fan_in_fan_out = nullptr;
  bool* ensure_weight_tying = nullptr;
  Json* layer_replication = nullptr;
  std::optional<int64_t>* num_virtual_tokens = nullptr;
  std::optional<int64_t>* token_dim = nullptr;
  std::optional<int64_t>* num_transformer_submodules = nullptr;
  std::optional<int64_t>* num_attention_heads = nullptr;
  std::optional<int64_t>* num_layers = nullptr;
  std::optional<int64_t>* encoder_hidden_size = nullptr;
  LoraRuntimeConfig* runtime_config = nullptr;
  Json* extra = nullptr;
};

/// Collects the shared fields of one config by their names.
template <typename Config>
SharedFields shared_fields(Config& config) {
  SharedFields fields;
#define PEFT_SHARED_FIELD(name) \
  if constexpr (requires { config.name; }) fields.name = &config.name;
  PEFT_SHARED_FIELD(task_type)
  PEFT_SHARED_FIELD(auto_mapping)
  PEFT_SHARED_FIELD(base_model_name_or_path)
  PEFT_SHARED_FIELD(revision)
  PEFT_SHARED_FIELD(inference_mode)
  PEFT_SHARED_FIELD(target_modules)
  PEFT_SHARED_FIELD(exclude_modules)
  PEFT_SHARED_FIELD(layers_to_transform)
  PEFT_SHARED_FIELD(layers_pattern)
  PEFT_SHARED_FIELD(modules_to_save)
  PEFT_SHARED_FIELD(trainable_token_indices)
  PEFT_SHARED_FIELD(target_parameters)
  PEFT_SHARED_FIELD(bias)
  PEFT_SHARED_FIELD(rank_pattern)
  PEFT_SHARED_FIELD(alpha_pattern)
  PEFT_SHARED_FIELD(fan_in_fan_out)
  PEFT_SHARED_FIELD(ensure_weight_tying)
  PEFT_SHARED_FIELD(layer_replication)
  PEFT_SHARED_FIELD(num_virtual_tokens)
  PEFT_SHARED_FIELD(token_dim)
  PEFT_SHARED_FIELD(num_transformer_submodules)
  PEFT_SHARED_FIELD(num_attention_heads)
  PEFT_SHARED_FIELD(num_layers)
  PEFT_SHARED_FIELD(encoder_hidden_size)
  PEFT_SHARED_FIELD(runtime_config)
  PEFT_SHARED_FIELD(extra)
#undef PEFT_SHARED_FIELD
  return fields;
}

/// What a config struct of a method has to offer: described fields, its kind, a check, and `extra`
/// for the keys of its file that nobody knows.
template <typename T>
concept MethodConfig = Described<T> && std::copyable<T> && requires(T& config, const T& constant) {
  { config.peft_type } -> std::convertible_to<std::string>;
  { config.extra } -> std::convertible_to<Json>;
  constant.validate();
};

/// One field of a config as its struct describes it.
struct FieldDescription {
  std::string key = {}, help = {};
};

/// The config of one adapter, of any method. A value: copies are independent.
///
/// Source: PeftConfig in peft/config.py.
class PeftConfig {
 public:
  template <MethodConfig Config>
  PeftConfig(Config config) : value_(std::move(config)), type_(&kType<Config>) {}

  const std::string& peft_type() const { return type_->peft_type(value_); }

  /// The config as its own type.  Throws: ConfigError where it is of another method.
  template <MethodConfig Config>
  const Config& as() const {
    if (const auto* config = std::any_cast<Config>(&value_)) return *config;
    throw_other_type(Config().peft_type);
  }

  SharedFields shared() { return type_->shared(value_); }
  /// The same views for reading only.
  const SharedFields shared() const { return const_cast<PeftConfig*>(this)->shared(); }

  /// Throws: ConfigError (a value that makes no sense), UnsupportedError (a valid value of a field
  /// that this library does not serve).
  void validate() const { type_->validate(value_); }

  /// Sets what follows from other fields, before an adapter is made; most methods have nothing.
  void complete() { type_->complete(value_); }

  /// Its fields, in the order of the file.
  std::vector<FieldDescription> describe() const { return type_->describe(value_); }

  /// The object that adapter_config.json holds, unknown keys of its source file included.
  Json to_json() const;

 private:
  struct Type {
    const std::string& (*peft_type)(const std::any&);
    SharedFields (*shared)(std::any&);
    void (*validate)(const std::any&);
    void (*complete)(std::any&);
    Json (*to_json)(const std::any&);
    std::vector<FieldDescription> (*describe)(const std::any&);
  };
  template <typename Config>
  static constexpr Type kType{
      [](const std::any& value) -> const std::string& {
        return std::any_cast<const Config&>(value).peft_type;
      },
      [](std::any& value) { return shared_fields(std::any_cast<Config&>(value)); },
      [](const std::any& value) { std::any_cast<const Config&>(value).validate(); },
      [](std::any& value) {
        if constexpr (requires(Config & config) { config.complete(); }) {
          std::any_cast<Config&>(value).complete();
        }
      },
      [](const std::any& value) { return peft::to_json(std::any_cast<const Config&>(value)); },
      [](const std::any& value) {
        std::vector<FieldDescription> fields;
        Config::fields(std::any_cast<const Config&>(value),
                       [&](std::string_view key, const auto&, std::string_view help, auto&&...) {
                         fields.push_back({std::string(key), std::string(help)});
                       });
        return fields;
      },
  };

  [[noreturn]] void throw_other_type(const std::string& wanted) const;

  std::any value_;
  const Type* type_;
};

/// Reads one method's config. Keys that no field has are kept in `extra` and warned of once; the
/// key runtime_config is dropped with a warning, as in Python.
///
/// Throws: ConfigError "<where>: <key>: expected <type>, got <json>."
/// Source: PeftConfigMixin.from_peft_type and from_json_file in peft/config.py.
template <MethodConfig Config>
PeftConfig parse_method_config(Json object, std::string_view where);

namespace detail {
void drop_runtime_config(Json& object, std::string_view where);
void warn_of_unknown_keys(const Json& unknown, std::string_view where);
}  // namespace detail

template <MethodConfig Config>
PeftConfig parse_method_config(Json object, std::string_view where) {
  detail::drop_runtime_config(object, where);
  Json unknown = Json::object();
  Config config = from_json<Config>(object, where, &unknown);
  detail::warn_of_unknown_keys(unknown, where);
  config.peft_type = Config().peft_type;
  config.extra = std::move(unknown);
  return PeftConfig(std::move(config));
}

}  // namespace peft
