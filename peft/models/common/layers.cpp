#include "peft/models/common/layers.h"

#include <ATen/ATen.h>

namespace peft {

// The layers' constructors fill their weights with random numbers, so they are made with one
// element and given their real storage afterwards.
torch::nn::Linear make_linear(int64_t in, int64_t out, bool bias, at::TensorOptions options) {
  torch::nn::Linear layer(torch::nn::LinearOptions(1, 1).bias(bias));
  layer->options.in_features(in).out_features(out);
  layer->weight.set_data(at::empty({out, in}, options));
  if (bias) layer->bias.set_data(at::empty({out}, options));
  return layer;
}

torch::nn::Embedding make_embedding(int64_t rows, int64_t width, at::TensorOptions options) {
  torch::nn::Embedding layer(torch::nn::EmbeddingOptions(1, 1));
  layer->options.num_embeddings(rows).embedding_dim(width);
  layer->weight.set_data(at::empty({rows, width}, options));
  return layer;
}

torch::nn::LayerNorm make_layer_norm(int64_t width, double eps, at::TensorOptions options) {
  torch::nn::LayerNorm layer(torch::nn::LayerNormOptions({1}).eps(eps));
  layer->options.normalized_shape({width});
  layer->weight.set_data(at::empty({width}, options));
  layer->bias.set_data(at::empty({width}, options));
  return layer;
}

at::Tensor normalize(const at::Tensor& x, const torch::nn::LayerNorm& layer) {
  return at::layer_norm(x, layer->options.normalized_shape(), layer->weight, layer->bias,
                        layer->options.eps());
}

void give_own_head(torch::nn::Module& model, torch::nn::Linear& head, const at::Tensor& weight) {
  if (!head) {
    head = model.register_module(
        "lm_head", make_linear(weight.size(1), weight.size(0), false, weight.options()));
    head->train(model.is_training());
  }
  head->weight.set_data(weight.detach());
  head->weight.requires_grad_(weight.requires_grad());
}

}  // namespace peft
