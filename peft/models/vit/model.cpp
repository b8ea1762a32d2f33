#include "peft/models/vit/model.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/nn/module.h>

#include <array>
#include <utility>

#include "peft/base/error.h"
#include "peft/models/common/layers.h"
#include "peft/models/common/project.h"

namespace peft::vit {
namespace {

// Made with one element, as make_linear: no random numbers for what is about to be loaded.
torch::nn::Conv2d make_patch_projection(const ViTConfig& config, at::TensorOptions options) {
  const auto [rows, columns] = config.patch_size;
  torch::nn::Conv2d layer(torch::nn::Conv2dOptions(1, 1, {rows, columns}).stride({rows, columns}));
  layer->options.in_channels(config.num_channels).out_channels(config.hidden_size);
  layer->weight.set_data(
      at::empty({config.hidden_size, config.num_channels, rows, columns}, options));
  layer->bias.set_data(at::empty({config.hidden_size}, options));
  return layer;
}

void check_pixels(const ImageInput& input, const ViTConfig& config) {
  const auto& pixels = input.pixel_values;
  const auto [height, width] = config.image_size;
  if (pixels.defined() && pixels.dim() == 4 && pixels.size(1) == config.num_channels &&
      (input.interpolate_pos_encoding || (pixels.size(2) == height && pixels.size(3) == width))) {
    return;
  }
  throw ConfigError(fmt::format(
      "vit: pixel_values: wrong shape: expected [images, {}, {}, {}], got [{}]. Scale the images, "
      "or set interpolate_pos_encoding for another height and width.",
      config.num_channels, height, width,
      pixels.defined() ? fmt::format("{}", fmt::join(pixels.sizes(), ", ")) : ""));
}

}  // namespace

PatchEmbeddingsImpl::PatchEmbeddingsImpl(const ViTConfig& config, at::TensorOptions options)
    : projection(nullptr) {
  projection = register_module("projection", make_patch_projection(config, options));
}

at::Tensor PatchEmbeddingsImpl::forward(const at::Tensor& pixels) {
  return at::conv2d(pixels, projection->weight, projection->bias, projection->options.stride())
      .flatten(2)
      .transpose(1, 2);
}

EmbeddingsImpl::EmbeddingsImpl(const ViTConfig& config, at::TensorOptions options)
    : patch_embeddings(nullptr), config_(config) {
  const auto [rows, columns] = config.patches();
  cls_token = register_parameter("cls_token", at::empty({1, 1, config.hidden_size}, options));
  position_embeddings = register_parameter(
      "position_embeddings", at::empty({1, 1 + rows * columns, config.hidden_size}, options));
  patch_embeddings = register_module("patch_embeddings", PatchEmbeddings(config, options));
}

// Those of config.json's grid of patches, stretched to the image's where it has another size.
at::Tensor EmbeddingsImpl::positions(const ImageInput& input) const {
  const auto height = input.pixel_values.size(2), width = input.pixel_values.size(3);
  if (std::array{height, width} == config_.image_size) return position_embeddings;
  const auto [rows, columns] = config_.patches();
  const auto grid = position_embeddings.narrow(1, 1, rows * columns)
                        .view({1, rows, columns, config_.hidden_size})
                        .permute({0, 3, 1, 2});
  const auto stretched =
      at::upsample_bicubic2d(grid, {height / config_.patch_size[0], width / config_.patch_size[1]},
                             /*align_corners=*/false);
  return at::cat({position_embeddings.narrow(1, 0, 1), stretched.flatten(2).transpose(1, 2)}, 1);
}

at::Tensor EmbeddingsImpl::forward(const ImageInput& input) {
  const auto patches = patch_embeddings->forward(input.pixel_values);
  const auto first = cls_token.expand({patches.size(0), 1, patches.size(2)});
  return at::dropout(at::cat({first, patches}, 1) + positions(input), config_.hidden_dropout,
                     is_training());
}

PoolerImpl::PoolerImpl(const ViTConfig& config, at::TensorOptions options)
    : dense(nullptr), activation_(config.pooler_act) {
  dense = register_module(
      "dense", make_linear(config.hidden_size, config.pooler_output_size, true, options));
}

at::Tensor PoolerImpl::forward(const at::Tensor& hidden) {
  return activation_(project(hidden.select(1, 0), dense));
}

ViTModelImpl::ViTModelImpl(const Json& json, const ViTConfig& config, bool with_pooler,
                           at::TensorOptions options)
    : json_(json), config_(config) {
  embeddings = register_module("embeddings", Embeddings(config, options));
  layers = register_module("layers", torch::nn::ModuleList());
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    blocks_.emplace_back(config, options);
    layers->push_back(blocks_.back());
  }
  layernorm = register_module("layernorm",
                              make_layer_norm(config.hidden_size, config.layer_norm_eps, options));
  if (with_pooler) pooler = register_module("pooler", Pooler(config, options));
}

EncoderOutput ViTModelImpl::forward(const ImageInput& given) {
  check_pixels(given, config_);
  ImageInput input = given;
  const auto& weight = embeddings->patch_embeddings->projection->weight;
  input.pixel_values = input.pixel_values.to(weight.device(), weight.scalar_type());
  const auto x = embeddings->forward(input);
  const auto states = run_blocks(x, blocks_, {}, checkpointing_ && is_training());
  EncoderOutput output{.last_hidden_state = normalize(states, layernorm)};
  if (pooler) output.pooler_output = pooler->forward(output.last_hidden_state);
  return output;
}

// Source: transformers/conversion_mapping.py, ViTModel.
std::string ViTModelImpl::renamed_key(const std::string& key) const {
  static const std::array<std::pair<std::string, std::string>, 7> kRenamed = {{
      {"encoder.layer.", "layers."},
      {"attention.attention.query.", "attention.q_proj."},
      {"attention.attention.key.", "attention.k_proj."},
      {"attention.attention.value.", "attention.v_proj."},
      {"attention.output.dense.", "attention.o_proj."},
      {"intermediate.dense.", "mlp.fc1."},
      {"output.dense.", "mlp.fc2."},
  }};
  auto renamed = key;
  for (const auto& [old, now] : kRenamed) {
    const auto at = renamed.find(old);
    if (at != std::string::npos) renamed.replace(at, old.size(), now);
  }
  return renamed;
}

ModelShape ViTModelImpl::shape() const {
  return {.layers = config_.num_hidden_layers,
          .heads = config_.num_attention_heads,
          .kv_heads = config_.num_attention_heads,
          .head_dim = config_.head_dim,
          .hidden = config_.hidden_size};
}

ViTForImageClassificationImpl::ViTForImageClassificationImpl(const Json& json,
                                                             const ViTConfig& config,
                                                             at::TensorOptions options)
    : classifier(nullptr), num_labels_(config.num_labels) {
  vit = register_module("vit", std::make_shared<ViTModelImpl>(json, config, false, options));
  classifier =
      register_module("classifier", make_linear(config.hidden_size, num_labels_, true, options));
}

at::Tensor ViTForImageClassificationImpl::forward(const ImageInput& input) {
  return project(vit->forward(input).last_hidden_state.select(1, 0), classifier);
}

PretrainedModel make_model(const Json& json, ModelTask task, at::TensorOptions options) {
  const auto config = ViTConfig::from_json(json);
  switch (task) {
    case ModelTask::kBody:
      return std::make_shared<ViTModelImpl>(json, config, true, options);
    case ModelTask::kImageClassification:
      return std::make_shared<ViTForImageClassificationImpl>(json, config, options);
    default:
      return nullptr;
  }
}

}  // namespace peft::vit
