#include "lora_step.h"

#include <torch/torch.h>

#include "peft/peft.h"

namespace {

struct NetImpl : torch::nn::Module {
  NetImpl() {
    fc1 = register_module("fc1", torch::nn::Linear(8, 16));
    fc2 = register_module("fc2", torch::nn::Linear(16, 4));
  }
  torch::Tensor forward(const torch::Tensor& x) {
    return fc2->forward(torch::relu(fc1->forward(x)));
  }
  torch::nn::Linear fc1{nullptr}, fc2{nullptr};
};
TORCH_MODULE(Net);

Net make_net() {
  torch::manual_seed(7);  // the same weights every time
  return Net();
}

}  // namespace

std::string lora_step(const std::string& folder) {
  Net net = make_net();
  const auto x = torch::randn({32, 8}), y = torch::randn({32, 4});
  auto model = peft::get_peft_model(
      net, peft::LoraConfig{.r = 4, .target_modules = {"fc1", "fc2"}, .lora_alpha = 8});
  std::vector<torch::Tensor> trained;
  for (auto& p : model.parameters()) {
    if (p.requires_grad()) trained.push_back(p);
  }
  if (trained.size() != 4) {
    return "expected 4 trained tensors, got " + std::to_string(trained.size());
  }
  torch::optim::AdamW optimizer(trained, torch::optim::AdamWOptions(0.05));
  double first = 0, last = 0;
  for (int step = 0; step < 20; ++step) {
    optimizer.zero_grad();
    auto loss = torch::mse_loss(model->forward(x), y);
    loss.backward();
    optimizer.step();
    (step == 0 ? first : last) = loss.item<double>();
  }
  if (!(last < first)) return "the loss did not fall";
  if (folder.empty()) return "";

  model.save_pretrained(folder);
  const auto trained_answer = model->forward(x);
  Net same = make_net();
  auto again = peft::PeftModel::from_pretrained(same, folder);
  if (!torch::allclose(again->forward(x), trained_answer, 1e-5, 1e-6)) {
    return "the loaded adapter answers differently";
  }
  return "";
}
