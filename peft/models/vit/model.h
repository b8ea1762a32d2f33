#pragma once

#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/conv.h>

#include <memory>
#include <string>
#include <vector>

#include "peft/models/common/image_model.h"
#include "peft/models/vit/block.h"

namespace peft::vit {

/// Patches of an image to vectors: `embeddings.patch_embeddings`.
class PatchEmbeddingsImpl : public torch::nn::Module {
 public:
  PatchEmbeddingsImpl(const ViTConfig& config, at::TensorOptions options);
  /// pixels [B, C, H, W] -> [B, patches, hidden]
  at::Tensor forward(const at::Tensor& pixels);

  torch::nn::Conv2d projection;
};
TORCH_MODULE(PatchEmbeddings);

/// The class token before those of the patches, with their positions: `embeddings`.
class EmbeddingsImpl : public torch::nn::Module {
 public:
  EmbeddingsImpl(const ViTConfig& config, at::TensorOptions options);
  at::Tensor forward(const ImageInput& input);

  at::Tensor cls_token;            // [1, 1, hidden]
  at::Tensor position_embeddings;  // [1, 1 + patches, hidden]
  PatchEmbeddings patch_embeddings;

 private:
  at::Tensor positions(const ImageInput& input) const;

  ViTConfig config_;
};
TORCH_MODULE(Embeddings);

/// An activation of a layer over the class token: `pooler`.
class PoolerImpl : public torch::nn::Module {
 public:
  PoolerImpl(const ViTConfig& config, at::TensorOptions options);
  at::Tensor forward(const at::Tensor& hidden);

  torch::nn::Linear dense;

 private:
  Activation activation_;
};
TORCH_MODULE(Pooler);

/// The vision transformer without a head. `layers` carry the names that transformers gives them
/// since version 5; renamed_key() knows those of older checkpoints.
class ViTModelImpl : public ImageModelImpl {
 public:
  /// The parameters' memory is reserved, not filled: see load_weights.
  ViTModelImpl(const Json& json, const ViTConfig& config, bool with_pooler,
               at::TensorOptions options);

  EncoderOutput forward(const ImageInput& input) override;
  ModelShape shape() const override;
  std::string base_model_prefix() const override { return "vit"; }
  std::string renamed_key(const std::string& key) const override;
  const Json& config() const override { return json_; }
  void set_gradient_checkpointing(bool on) override { checkpointing_ = on; }
  bool is_gradient_checkpointing() const override { return checkpointing_; }

  Embeddings embeddings{nullptr};
  torch::nn::ModuleList layers;
  torch::nn::LayerNorm layernorm{nullptr};
  Pooler pooler{nullptr};  // empty where the model has none

 private:
  Json json_;
  ViTConfig config_;
  std::vector<Block> blocks_;
  bool checkpointing_ = false;
};

/// The vision transformer for classes of images: `classifier` over the class token.
class ViTForImageClassificationImpl : public ImageClassifierImpl {
 public:
  ViTForImageClassificationImpl(const Json& json, const ViTConfig& config,
                                at::TensorOptions options);

  using ImageClassifierImpl::forward;
  at::Tensor forward(const ImageInput& input) override;
  int64_t num_labels() const override { return num_labels_; }
  ModelShape shape() const override { return vit->shape(); }
  std::string base_model_prefix() const override { return vit->base_model_prefix(); }
  std::string renamed_key(const std::string& key) const override { return vit->renamed_key(key); }
  const Json& config() const override { return vit->config(); }
  void set_gradient_checkpointing(bool on) override { vit->set_gradient_checkpointing(on); }
  bool is_gradient_checkpointing() const override { return vit->is_gradient_checkpointing(); }

  std::shared_ptr<ViTModelImpl> vit;
  torch::nn::Linear classifier;

 private:
  int64_t num_labels_;
};

/// The family's entry in the registry.
PretrainedModel make_model(const Json& config, ModelTask task, at::TensorOptions options);

}  // namespace peft::vit
