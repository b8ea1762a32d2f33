#pragma once

#include <torch/torch.h>

#include <filesystem>
#include <string>

#include "peft/base/json_text.h"
#include "peft/formats/safetensors_file.h"
#include "peft/peft_model.h"
#include "tests/front/models.h"

namespace peft::test {

/// One layer of each kind that takes mixed batches: the net of golden_arithmetic.py.
struct PartsImpl : torch::nn::Module {
  PartsImpl() {
    namespace nn = torch::nn;
    emb = register_module("emb", nn::Embedding(11, 8));
    lin = register_module("lin", nn::Linear(8, 8));
    turned = register_module("turned", models::Conv1D(8, 8));
    const torch::ExpandingArray<2> kernel({3, 1}), padding({1, 0});
    conv = register_module("conv", nn::Conv2d(nn::Conv2dOptions(8, 6, kernel).padding(padding)));
    classifier = register_module("classifier", nn::Linear(6, 3));
  }
  at::Tensor forward(const at::Tensor& ids) {
    const at::Tensor h = turned(torch::relu(lin(emb(ids))));
    const at::Tensor c = conv(h.transpose(1, 2).unsqueeze(-1));
    return classifier(torch::tanh(c).mean({2, 3}));
  }
  torch::nn::Embedding emb{nullptr};
  torch::nn::Linear lin{nullptr}, classifier{nullptr};
  models::Conv1D turned{nullptr};
  torch::nn::Conv2d conv{nullptr};
};
TORCH_MODULE(Parts);

inline std::filesystem::path arithmetic(const std::string& name) {
  return std::filesystem::path(PEFT_SOURCE_DIR) / "tests/front/golden_arithmetic" / name;
}

inline StateDict arithmetic_run() {
  return formats::SafetensorsFile(arithmetic("run.safetensors")).load_all();
}

inline Parts parts() {
  Parts net;
  at::NoGradGuard no_grad;
  const StateDict weights = formats::SafetensorsFile(arithmetic("base.safetensors")).load_all();
  for (auto& parameter : net->named_parameters()) {
    parameter.value().copy_(weights.at(parameter.key()));
  }
  return net;
}

/// The net with adapters of golden_arithmetic, the first one active.
inline PeftModelFor<Parts> parts_with(const std::vector<std::string>& adapters) {
  auto model = PeftModel::from_pretrained(parts(), arithmetic(adapters.front()),
                                          {.adapter_name = adapters.front()});
  for (size_t i = 1; i < adapters.size(); ++i) {
    model.load_adapter(arithmetic(adapters[i]), adapters[i]);
  }
  return model;
}

inline void expect_near(const at::Tensor& ours, const at::Tensor& wanted, const std::string& what) {
  ASSERT_EQ(ours.sizes(), wanted.sizes()) << what;
  const double scale = std::max(1.0, wanted.abs().max().item<double>());
  EXPECT_LT((ours.detach() - wanted).abs().max().item<double>(), 2e-5 * scale) << what;
}

}  // namespace peft::test
