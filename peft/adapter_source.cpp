#include "peft/adapter_source.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "peft/adapter_folder.h"
#include "peft/base/error.h"
#include "peft/base/json_text.h"
#include "peft/base/regex_replace.h"
#include "peft/base/text.h"
#include "peft/hub/resolve.h"
#include "peft/methods/registry.h"
#include "peft/tensor/device.h"

namespace peft {
namespace {

// The parameters of hf_hub_download in huggingface_hub 1.33, and the older name of `token`.
constexpr std::array<std::string_view, 19> kHubParameters{
    "repo_id",        "filename",        "subfolder", "repo_type",        "revision",
    "library_name",   "library_version", "cache_dir", "local_dir",        "user_agent",
    "force_download", "etag_timeout",    "token",     "local_files_only", "headers",
    "endpoint",       "tqdm_class",      "dry_run",   "use_auth_token"};

// A parameter of hf_hub_download; empty where there is none.
std::string text_of(const Json& hub, const char* name) {
  const auto given = hub.find(name);
  if (given == hub.end() || given->is_null()) return {};
  if (given->is_string()) return given->get<std::string>();
  throw ConfigError(std::string("kwargs: ") + name + ": expected a string, got " +
                    dump_json(*given, {.indent = std::nullopt}) + ".");
}

// As in Python: a text is the token, true is the one that is stored, false is none.
void set_token(const Json& hub, const char* name, hub::Settings& settings) {
  const auto given = hub.find(name);
  if (given == hub.end() || given->is_null()) return;
  if (!given->is_boolean()) {
    settings.token = hub::Token(text_of(hub, name));
  } else if (!given->get<bool>()) {
    settings.token = {};
  }
}

hub::Settings hub_settings(const Json& parameters) {
  hub::Settings settings = hub::settings_from_environment();
  const std::string cache = text_of(parameters, "cache_dir");
  const std::string endpoint = text_of(parameters, "endpoint");
  if (!cache.empty()) settings.cache = std::filesystem::absolute(cache);
  if (!endpoint.empty()) settings.endpoint = endpoint;
  set_token(parameters, "use_auth_token", settings);
  set_token(parameters, "token", settings);
  const auto local = parameters.find("local_files_only");
  if (local != parameters.end() && local->is_boolean() && local->get<bool>()) {
    settings.offline = true;
  }
  return settings;
}

std::string_view prefix_of(const std::string& key) {
  for (const std::string_view prefix : {"base_model.model.", "base_model."}) {
    if (key.starts_with(prefix)) return prefix;
  }
  throw ConfigError("key_mapping: the key " + quote(key) +
                    ": expected one that begins with 'base_model.', as adapters' keys do, got "
                    "another. Map the keys of a file that PEFT wrote.");
}

}  // namespace

SplitKwargs split_kwargs(const Json& kwargs) {
  if (!kwargs.is_object()) {
    throw ConfigError("kwargs: expected an object of arguments, got " +
                      dump_json(kwargs, {.indent = std::nullopt}) + ".");
  }
  SplitKwargs split;
  for (const auto& [key, value] : kwargs.items()) {
    const bool hub =
        std::find(kHubParameters.begin(), kHubParameters.end(), key) != kHubParameters.end();
    (hub ? split.hub : split.others)[key] = value;
  }
  return split;
}

std::filesystem::path adapter_place(const std::filesystem::path& name_or_folder,
                                    const AdapterSource& source) {
  const Json parameters = split_kwargs(source.kwargs).hub;
  hub::ResolveOptions options{.revision = source.revision, .subfolder = source.subfolder};
  if (options.revision.empty()) options.revision = text_of(parameters, "revision");
  if (options.subfolder.empty()) options.subfolder = text_of(parameters, "subfolder");
  std::error_code error;
  if (!std::filesystem::exists(name_or_folder, error)) options.settings = hub_settings(parameters);
  return hub::adapter_folder(name_or_folder, options);
}

PeftConfig read_adapter_config(const std::filesystem::path& place, const AdapterSource& source) {
  const std::filesystem::path path = place / "adapter_config.json";
  Json object = read_json_file(path);
  std::vector<std::string> added;
  const Json given = split_kwargs(source.kwargs).others;
  for (const auto& [key, value] : given.items()) {
    if (!object.is_object() || object.contains(key)) continue;
    object[key] = value;
    added.push_back(key);
  }
  PeftConfig config = parse_config(object, path.string());
  const Json* unknown = config.shared().extra;
  for (const std::string& key : added) {
    if (unknown == nullptr || !unknown->contains(key)) continue;
    throw ConfigError("kwargs: " + quote(key) + ": expected a field of the config of " +
                      config.peft_type() + " or a parameter of hf_hub_download, got neither.");
  }
  return config;
}

StateDict read_adapter_weights(const std::filesystem::path& place, const AdapterSource& source) {
  StateDict tensors = read_adapter_weights(place);
  if (!source.key_mapping.empty()) tensors = apply_key_mapping(tensors, source.key_mapping);
  if (!source.torch_device || source.torch_device->is_cpu()) return tensors;
  const at::Device device = checked_device(*source.torch_device, "torch_device");
  StateDict there;
  for (const auto& [key, tensor] : tensors) there.set(key, tensor.to(device));
  return there;
}

StateDict apply_key_mapping(const StateDict& tensors, const KeyMapping& mapping) {
  std::vector<RegexReplacement> replacements;
  for (const auto& [pattern, replacement] : mapping) {
    replacements.emplace_back(pattern, replacement, "key_mapping");
  }
  StateDict mapped;
  for (const auto& [key, tensor] : tensors) {
    const std::string_view prefix = prefix_of(key);
    std::string name = key.substr(prefix.size());
    for (const RegexReplacement& replacement : replacements) {
      RegexReplacement::Result result = replacement(name);
      if (result.count == 0) continue;
      name = std::move(result.text);
      break;
    }
    name.insert(0, prefix);
    if (mapped.contains(name)) {
      throw ConfigError("key_mapping: expected a name of its own for every tensor, got " +
                        quote(name) + " for two of them, the second of which is " + quote(key) +
                        ". Write a pattern that tells them apart.");
    }
    mapped.set(name, tensor);
  }
  return mapped;
}

}  // namespace peft
