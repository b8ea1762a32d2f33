// LoRA on a TorchScript module: adapted, trained for some steps and saved.
//   usage: lora_on_torchscript MODULE.pt TARGET WIDTH
// MODULE.pt is what torch.jit.save wrote; its forward takes one float tensor [rows, WIDTH].

#include <torch/script.h>
#include <torch/torch.h>

#include <iostream>

#include "peft/peft.h"

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: lora_on_torchscript MODULE.pt TARGET WIDTH\n";
    return 2;
  }
  torch::manual_seed(0);
  torch::jit::Module module = torch::jit::load(argv[1]);
  const auto x = torch::randn({64, std::stoll(argv[3])});
  const auto goal = module.forward({x}).toTensor().detach().sin();

  auto model = peft::get_peft_model(
      module, peft::LoraConfig{.r = 4, .target_modules = {argv[2]}, .lora_alpha = 8});
  model.print_trainable_parameters();

  std::vector<torch::Tensor> learning;
  for (auto& [name, tensor] : model.trainable_parameters()) learning.push_back(tensor);
  torch::optim::AdamW optimizer(learning, torch::optim::AdamWOptions(1e-2));
  for (int step = 0; step < 50; ++step) {
    optimizer.zero_grad();
    // The arrow keeps TorchScript's optimising executor, which loses gradients, off for the call.
    const auto loss = torch::mse_loss(model->forward({x}).toTensor(), goal);
    loss.backward();
    optimizer.step();
    if (step % 10 == 0) std::cout << "step " << step << " loss " << loss.item<float>() << '\n';
  }
  model.save_pretrained("script_adapter");
  std::cout << "saved to script_adapter\n";
}
