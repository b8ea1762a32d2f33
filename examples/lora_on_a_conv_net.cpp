// LoRA on a network of one's own: convolutions and linear layers, trained and saved.

#include <torch/torch.h>

#include <iostream>

#include "peft/peft.h"

struct NetImpl : torch::nn::Module {
  NetImpl() {
    conv = register_module("conv", torch::nn::Conv2d(torch::nn::Conv2dOptions(1, 8, 3).padding(1)));
    fc1 = register_module("fc1", torch::nn::Linear(8 * 8 * 8, 32));
    fc2 = register_module("fc2", torch::nn::Linear(32, 2));
  }
  torch::Tensor forward(const torch::Tensor& x) {
    return fc2(torch::relu(fc1(torch::relu(conv(x)).flatten(1))));
  }
  torch::nn::Conv2d conv{nullptr};
  torch::nn::Linear fc1{nullptr}, fc2{nullptr};
};
TORCH_MODULE(Net);

// Pictures whose left or right half is brighter.
std::pair<torch::Tensor, torch::Tensor> pictures(int64_t count) {
  const auto labels = torch::randint(0, 2, {count});
  auto x = torch::randn({count, 1, 8, 8});
  for (int64_t i = 0; i < count; ++i) x[i].narrow(2, labels[i].item<int64_t>() * 4, 4).add_(0.5);
  return {x, labels};
}

int main() {
  torch::manual_seed(0);
  Net net;
  auto model = peft::get_peft_model(
      net, peft::LoraConfig{.r = 4,
                            .target_modules = {"conv", "fc1"},
                            .lora_alpha = 8,
                            .modules_to_save = std::vector<std::string>{"fc2"}});
  model.print_trainable_parameters();

  std::vector<torch::Tensor> learning;
  for (auto& [name, tensor] : model.trainable_parameters()) learning.push_back(tensor);
  torch::optim::AdamW optimizer(learning, torch::optim::AdamWOptions(5e-3));
  for (int step = 0; step < 100; ++step) {
    const auto [x, labels] = pictures(32);
    optimizer.zero_grad();
    const auto loss = torch::nn::functional::cross_entropy(model->forward(x), labels);
    loss.backward();
    optimizer.step();
    if (step % 25 == 0) std::cout << "step " << step << " loss " << loss.item<float>() << '\n';
  }

  const auto [x, labels] = pictures(500);
  const auto accuracy = [&] {
    torch::NoGradGuard no_grad;
    return (model->forward(x).argmax(1) == labels).to(torch::kFloat).mean().item<float>();
  };
  std::cout << "accuracy " << accuracy() << '\n';
  {
    auto off = model.disable_adapter();
    std::cout << "accuracy of the base " << accuracy() << '\n';
  }
  model.save_pretrained("conv_net_adapter");
  Net plain = model.merge_and_unload();
  std::cout << "saved to conv_net_adapter; the merged net has " << plain->parameters().size()
            << " parameters\n";
}
