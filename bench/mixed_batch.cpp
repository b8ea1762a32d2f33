// What rows with adapters of their own cost, and the walks over a model's state.
//
//   mixed_batch MODEL [ROUNDS]
//
// Prints one JSON object: medians in milliseconds of a forward of 8 x 128 and 32 x 128 tokens with
// one adapter and with one a row, their ratios, the same for generating 32 tokens for 8 prompts,
// and of get_layer_status and get_model_status.
#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <functional>
#include <string>
#include <vector>

#include "peft/auto.h"
#include "peft/peft.h"

namespace {

double milliseconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return 1e3 * std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

std::string name(int64_t i) { return "a" + std::to_string(i); }

// Both by turns, so that a noisy machine disturbs them alike.
void compare(const char* what, int rounds, const std::function<void()>& one,
             const std::function<void()>& mixed) {
  std::vector<double> ones, mixes;
  one();
  mixed();
  for (int i = 0; i < rounds; ++i) {
    ones.push_back(milliseconds(one));
    mixes.push_back(milliseconds(mixed));
  }
  std::printf("\"%s\": {\"one_ms\": %.2f, \"mixed_ms\": %.2f, \"ratio\": %.3f}, ", what,
              median(ones), median(mixes), median(mixes) / median(ones));
}

peft::PeftModelForCausalLM adapted(const peft::OpenedModel& opened, int64_t adapters) {
  const peft::LoraConfig config{.r = 8, .target_modules = "all-linear", .init_lora_weights = false};
  peft::PeftModelForCausalLM model(opened.model, config, {.adapter_name = name(0)});
  for (int64_t i = 1; i < adapters; ++i) model.add_adapter(name(i), config);
  model.eval();
  return model;
}

void forwards(peft::PeftModelForCausalLM& model, int64_t rows, int rounds) {
  const at::NoGradGuard no_grad;
  const auto ids = at::randint(1, 40000, {rows, 128}, at::kLong);
  std::vector<std::string> names;
  for (int64_t i = 0; i < rows; ++i) names.push_back(name(i));
  const auto hidden = [&] { return model.get_base_model()->hidden_states({.input_ids = ids}); };
  compare(("forward_" + std::to_string(rows)).c_str(), rounds, hidden, [&] {
    const auto scope = model.mixed_batch(names);
    hidden();
  });
}

void generation(peft::PeftModelForCausalLM& model, int rounds) {
  std::vector<std::vector<int64_t>> prompts;
  std::vector<std::string> names;
  for (int64_t i = 0; i < 8; ++i) {
    prompts.push_back({100 + i, 200, 300, 400});
    names.push_back(name(i));
  }
  const peft::GenerateOptions options{.max_new_tokens = 32};
  compare(
      "generate_8", rounds, [&] { model.generate(prompts, options); },
      [&] { model.generate(prompts, options, names); });
}

int run(const std::string& folder, int rounds) {
  at::set_num_threads(2);
  const auto opened = peft::open_model(folder, {.dtype = at::kFloat});
  std::printf("{");
  auto model = adapted(opened, 32);
  forwards(model, 8, rounds);
  forwards(model, 32, std::max(1, rounds / 3));
  generation(model, rounds);
  std::vector<double> layers, whole;
  for (int i = 0; i < rounds; ++i) {
    layers.push_back(milliseconds([&] { model.get_layer_status(); }));
    whole.push_back(milliseconds([&] { model.get_model_status(); }));
  }
  std::printf("\"adapters\": 32, \"layer_status_ms\": %.3f, \"model_status_ms\": %.3f}\n",
              median(layers), median(whole));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: mixed_batch MODEL [ROUNDS]\n");
    return 2;
  }
  try {
    return run(argv[1], argc > 2 ? std::stoi(argv[2]) : 7);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "mixed_batch: %s\n", error.what());
    return 1;
  }
}
