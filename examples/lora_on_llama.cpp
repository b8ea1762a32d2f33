// LoRA on a language model: a Llama checkpoint learns one answer, is saved, loaded again and asked.
//   usage: lora_on_llama CHECKPOINT [STEPS]
// CHECKPOINT is a Hugging Face folder of the Llama family or a .gguf file.

#include <torch/torch.h>

#include <iostream>

#include "peft/auto.h"
#include "peft/peft.h"

namespace {

constexpr const char* kPrompt = "The capital of the moon is";
constexpr const char* kCompletion = " Crater City.";

std::string answer(peft::PeftModelForCausalLM& model, const peft::ChatTokenizer& text) {
  const auto ids = text.encode(kPrompt);
  const auto rows =
      model.generate({ids}, {.max_new_tokens = 6, .stop_token_ids = text.stop_token_ids()});
  return text.tokenizer().decode(rows[0].tokens);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: lora_on_llama CHECKPOINT [STEPS]\n";
    return 2;
  }
  torch::manual_seed(0);
  const peft::OpenedModel opened = peft::open_model(argv[1], {.dtype = torch::kFloat});
  peft::PeftModelForCausalLM model(
      opened.model,
      peft::LoraConfig{
          .task_type = "CAUSAL_LM", .r = 8, .target_modules = "all-linear", .lora_alpha = 16});
  model.print_trainable_parameters();
  std::cout << "before: " << kPrompt << answer(model, *opened.text) << '\n';

  // The labels of the prompt are -100: the loss is that of the completion alone.
  const auto prompt = opened.text->encode(kPrompt);
  const auto whole = opened.text->encode(std::string(kPrompt) + kCompletion);
  const auto ids = torch::tensor(whole).unsqueeze(0);
  auto labels = ids.clone();
  labels.narrow(1, 0, static_cast<int64_t>(prompt.size())).fill_(-100);

  std::vector<torch::Tensor> learning;
  for (auto& [name, tensor] : model.trainable_parameters()) learning.push_back(tensor);
  torch::optim::AdamW optimizer(learning, torch::optim::AdamWOptions(1e-3));
  model.train();
  const int steps = argc > 2 ? std::stoi(argv[2]) : 15;
  for (int step = 0; step < steps; ++step) {
    optimizer.zero_grad();
    const auto loss = model.loss_sum({.input_ids = ids}, labels);
    loss.backward();
    optimizer.step();
    if (step % 5 == 0) std::cout << "step " << step << " loss " << loss.item<float>() << '\n';
  }
  model.eval();
  model.save_pretrained("llama_adapter");
  model.unload();

  auto again = peft::PeftModelForCausalLM::from_pretrained(opened.model, "llama_adapter");
  std::cout << "after: " << kPrompt << answer(again, *opened.text) << '\n';
  {
    auto off = again.disable_adapter();
    std::cout << "the base alone: " << kPrompt << answer(again, *opened.text) << '\n';
  }
}
