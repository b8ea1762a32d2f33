// What rows with adapters of their own cost, and the walks over a model's state.
//
//   mixed_batch MODEL [ROUNDS]
//
// Prints one JSON object: medians in milliseconds of a forward of 8 x 128 and 32 x 128 tokens with
// one adapter and with one a row, their ratios, the same for generating 32 tokens for 8 prompts,
// and of the walks over all adapted layers with 1 and with 32 adapters in the model.
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
  std::fflush(stdout);
}

const peft::LoraConfig& config() {
  static const peft::LoraConfig made{
      .r = 8, .target_modules = "all-linear", .init_lora_weights = false};
  return made;
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

double median_of(int rounds, const std::function<void()>& work) {
  std::vector<double> times;
  for (int i = 0; i < rounds; ++i) times.push_back(milliseconds(work));
  return median(std::move(times));
}

void walks(peft::PeftModelForCausalLM& model) {
  constexpr int kRounds = 31;
  const std::vector<std::string> names(8, name(0));
  const auto print = [](const char* what, double time, const char* end) {
    std::printf("\"%s\": %.3f%s", what, time, end);
  };
  std::printf("\"walks_%zu_ms\": {", model.peft_config().size());
  print("layer_status", median_of(kRounds, [&] { model.get_layer_status(); }), ", ");
  print("model_status", median_of(kRounds, [&] { model.get_model_status(); }), ", ");
  print("verify", median_of(kRounds, [&] { model.tuner().verify(); }), ", ");
  print("set_adapter", median_of(kRounds, [&] { model.set_adapter(name(0)); }), ", ");
  print("mixed_batch", median_of(kRounds, [&] { (void)model.mixed_batch(names); }), "}");
  std::fflush(stdout);
}

int run(const std::string& folder, int rounds) {
  at::set_num_threads(2);
  const auto opened = peft::open_model(folder, {.dtype = at::kFloat});
  peft::PeftModelForCausalLM model(opened.model, config(), {.adapter_name = name(0)});
  model.eval();
  std::printf("{");
  walks(model);
  for (int64_t i = 1; i < 32; ++i) model.add_adapter(name(i), config());
  model.eval();
  std::printf(", ");
  walks(model);
  std::printf(", ");
  forwards(model, 8, rounds);
  forwards(model, 32, std::max(1, rounds / 3));
  generation(model, rounds);
  std::printf("\"rounds\": %d}\n", rounds);
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
