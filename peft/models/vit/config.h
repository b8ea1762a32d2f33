#pragma once

#include <array>

#include "peft/models/common/activation.h"

namespace peft::vit {

/// The settings of one model.
/// Source: transformers/models/vit/configuration_vit.py.
struct ViTConfig {
  int64_t hidden_size = 768;
  int64_t intermediate_size = 3072;
  int64_t num_hidden_layers = 12;
  int64_t num_attention_heads = 12;
  int64_t head_dim = 64;
  int64_t num_channels = 3;
  int64_t pooler_output_size = 768;
  int64_t num_labels = 2;
  std::array<int64_t, 2> image_size = {224, 224};  // height, width in pixels
  std::array<int64_t, 2> patch_size = {16, 16};
  bool qkv_bias = true;
  double layer_norm_eps = 1e-12;
  double hidden_dropout = 0.0;
  double attention_dropout = 0.0;
  Activation hidden_act = nullptr;
  Activation pooler_act = nullptr;

  /// Rows and columns of patches in an image of config.json's size.
  std::array<int64_t, 2> patches() const {
    return {image_size[0] / patch_size[0], image_size[1] / patch_size[1]};
  }

  /// Throws: ConfigError (a key that is missing or out of range), UnsupportedError (activation).
  static ViTConfig from_json(const Json& config);
};

}  // namespace peft::vit
