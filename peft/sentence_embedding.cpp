#include "peft/sentence_embedding.h"

#include <ATen/ATen.h>
#include <fmt/core.h>

#include <vector>

#include "peft/base/error.h"
#include "peft/base/json_text.h"
#include "peft/base/text.h"
#include "peft/formats/safetensors_file.h"
#include "peft/formats/torch_checkpoint_file.h"

namespace peft {
namespace {

namespace fs = std::filesystem;

std::string text_in(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

void read_ways(const fs::path& file, Pooling& pooling) {
  const Json config = read_json_file(file);
  if (!config.is_object()) {
    throw FormatError(file.string() + ": expected an object, got " + config.type_name() + ".");
  }
  const auto is_on = [&](const char* way) {
    const auto found = config.find(std::string("pooling_mode_") + way);
    return found != config.end() && found->is_boolean() && found->get<bool>();
  };
  pooling.cls_token = is_on("cls_token");
  pooling.mean_tokens = is_on("mean_tokens");
  pooling.max_tokens = is_on("max_tokens");
  pooling.mean_sqrt_len = is_on("mean_sqrt_len_tokens");
  pooling.last_token = is_on("lasttoken");
  const bool none = !pooling.cls_token && !pooling.mean_tokens && !pooling.max_tokens &&
                    !pooling.mean_sqrt_len && !pooling.last_token;
  if (!none && !is_on("weightedmean_tokens")) return;
  throw UnsupportedError(file.string() +
                         ": expected cls, mean, max, mean_sqrt_len or lasttoken pooling, got "
                         "another one.");
}

void read_transformer(const fs::path& file, Pooling& pooling) {
  if (!fs::exists(file)) return;
  const Json config = read_json_file(file);
  if (!config.is_object()) return;
  const auto length = config.find("max_seq_length");
  if (length != config.end() && length->is_number_integer() && length->get<int64_t>() > 0) {
    pooling.max_seq_length = length->get<int64_t>();
  }
  const auto lower = config.find("do_lower_case");
  if (lower == config.end() || !lower->is_boolean() || !lower->get<bool>()) return;
  throw UnsupportedError(file.string() +
                         ": do_lower_case: expected false, as the tokenizer does that, got true.");
}

StateDict layer_tensors(const fs::path& folder) {
  const fs::path safe = folder / "model.safetensors";
  if (fs::exists(safe)) return formats::SafetensorsFile(safe).load_all();
  return formats::read_torch_file(folder / "pytorch_model.bin");
}

PooledLayer read_layer(const fs::path& folder) {
  const fs::path file = folder / "config.json";
  const Json config = read_json_file(file);
  const std::string activation =
      config.is_object() ? text_in(config, "activation_function") : std::string();
  PooledLayer layer{.tanh = activation.empty() || activation.ends_with(".Tanh")};
  if (!layer.tanh && !activation.ends_with(".Identity")) {
    throw UnsupportedError(file.string() +
                           ": activation_function: expected Tanh or Identity, got " +
                           quote(activation) + ".");
  }
  const StateDict tensors = layer_tensors(folder);
  if (!tensors.contains("linear.weight") || tensors.at("linear.weight").dim() != 2) {
    throw FormatError(folder.string() +
                      ": expected a matrix 'linear.weight' in the layer's weights, got none.");
  }
  layer.weight = tensors.at("linear.weight").to(at::kFloat);
  if (tensors.contains("linear.bias")) layer.bias = tensors.at("linear.bias").to(at::kFloat);
  return layer;
}

at::Tensor apply(const PooledLayer& layer, const at::Tensor& x) {
  if (x.size(1) != layer.weight.size(1)) {
    throw MismatchError(fmt::format(
        "sentence embedding: a layer behind the pooling: expected vectors of {} numbers, got {}. "
        "Pool as the checkpoint's own files say.",
        layer.weight.size(1), x.size(1)));
  }
  const at::Tensor y =
      at::linear(x, layer.weight.to(x.device()),
                 layer.bias.defined() ? std::optional(layer.bias.to(x.device())) : std::nullopt);
  return layer.tanh ? at::tanh(y) : y;
}

}  // namespace

Pooling Pooling::load(const fs::path& folder) {
  Pooling pooling;
  const fs::path file = folder / "modules.json";
  if (!fs::exists(file)) return pooling;
  const Json modules = read_json_file(file);
  for (const Json& module : modules.is_array() ? modules : Json::array()) {
    const std::string type = text_in(module, "type"), path = text_in(module, "path");
    if (type.ends_with(".Transformer")) {
      read_transformer(folder / "sentence_bert_config.json", pooling);
    } else if (type.ends_with(".Pooling")) {
      read_ways(folder / path / "config.json", pooling);
    } else if (type.ends_with(".Dense") && !pooling.normalize) {
      pooling.layers.push_back(read_layer(folder / path));
    } else if (type.ends_with(".Normalize")) {
      pooling.normalize = true;
    } else {
      throw UnsupportedError(file.string() +
                             ": expected modules of the kinds Transformer, Pooling, Dense and "
                             "Normalize, in this order, got " +
                             quote(type) + ".");
    }
  }
  return pooling;
}

at::Tensor pool(const at::Tensor& states, const at::Tensor& mask, const Pooling& pooling) {
  const at::Tensor x = states.to(at::kFloat);
  const at::Tensor seen = (mask.defined() ? mask.to(x.device(), at::kFloat)
                                          : at::ones({x.size(0), x.size(1)}, x.options()))
                              .unsqueeze(2);
  const at::Tensor sum = (x * seen).sum(1), count = seen.sum(1).clamp_min(1e-9);
  std::vector<at::Tensor> ways;
  if (pooling.cls_token) ways.push_back(x.select(1, 0));
  if (pooling.max_tokens) ways.push_back(x.masked_fill(seen.eq(0), -1e9).amax(1));
  if (pooling.mean_tokens) ways.push_back(sum / count);
  if (pooling.mean_sqrt_len) ways.push_back(sum / count.sqrt());
  if (pooling.last_token) {
    // The last place whose mask is not 0, wherever the padding is.
    const at::Tensor places = at::arange(x.size(1), x.options()).view({1, -1, 1});
    const at::Tensor last = (seen * (places + 1)).argmax(1, true);
    ways.push_back(x.gather(1, last.expand({-1, 1, x.size(2)})).squeeze(1));
  }
  at::Tensor pooled = at::cat(ways, 1);
  for (const PooledLayer& layer : pooling.layers) pooled = apply(layer, pooled);
  if (!pooling.normalize) return pooled;
  return pooled / pooled.norm(2, 1, true).clamp_min(1e-12);
}

}  // namespace peft
