// Puts a prompt on a model, trains it for three steps and saves it: for Python to load.
//
// usage: write_prompt BASE CONFIG.json OUTPUT

#include <torch/optim/sgd.h>

#include <iostream>

#include "peft/auto.h"
#include "peft/base/json_text.h"
#include "peft/methods/registry.h"
#include "peft/peft_model_for_causal_lm.h"

namespace {

void write(const std::string& base, const std::string& config, const std::string& output) {
  at::manual_seed(4);
  const auto checkpoint = peft::formats::Checkpoint::open(base);
  peft::PeftModelForCausalLM model(peft::load_language_model(checkpoint),
                                   peft::parse_config(peft::read_json_file(config), config));
  const at::Tensor ids = at::randint(3, model.get_base_model()->shape().vocab, {2, 8}, at::kLong);
  const peft::CausalLMCall call{.task_ids = at::zeros({2}, at::kLong)};
  std::vector<at::Tensor> learning;
  for (const auto& [name, tensor] : model.trainable_parameters()) learning.push_back(tensor);
  torch::optim::SGD sgd(learning, torch::optim::SGDOptions(0.5));
  for (int step = 0; step < 3; ++step) {
    sgd.zero_grad();
    model.loss({.input_ids = ids}, ids, call).backward();
    sgd.step();
  }
  model.save_pretrained(output);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  try {
    write(argv[1], argv[2], argv[3]);
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
