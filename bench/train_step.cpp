// Time and memory of one LoRA training step of a language model.
//
//   train_step --model M [--dtype float32|bfloat16] [--batch 4] [--length 256] [--steps 5]
//              [--rank 16] [--config JSON] [--threads 2] [--checkpointing]
//              [--completion FRACTION] [--profile]
//
// `--config` is an adapter_config.json in the place of LoRA on all linear layers.
//
// Prints one JSON object: the fastest and the median step, tokens a second, the time of the bare
// products of the frozen model with the same shapes (the floor), peak memory, the first loss and
// the norm of the first gradient.
#include <sys/resource.h>
#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "bench/operator_times.h"
#include "peft/auto.h"
#include "peft/base/json_text.h"
#include "peft/base/process.h"
#include "peft/methods/lora/config.h"
#include "peft/methods/registry.h"
#include "peft/peft.h"
#include "peft/train/adamw.h"

namespace {

using Clock = std::chrono::steady_clock;

struct Arguments {
  std::map<std::string, std::string> values = {
      {"model", ""},       {"dtype", "float32"}, {"batch", "4"},   {"length", "256"},
      {"steps", "5"},      {"rank", "16"},       {"threads", "2"}, {"checkpointing", "0"},
      {"completion", "1"}, {"config", ""},       {"profile", "0"}};
  const std::string& text(const std::string& name) const { return values.at(name); }
  int64_t number(const std::string& name) const { return std::stoll(values.at(name)); }
};

Arguments parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string name = std::string(argv[i]).substr(2);
    if (!arguments.values.contains(name)) throw std::runtime_error("unknown option: " + name);
    const bool flag = name == "checkpointing" || name == "profile";
    arguments.values[name] = flag || i + 1 == argc ? "1" : argv[++i];
  }
  return arguments;
}

double seconds(const std::function<void()>& work) {
  const auto start = Clock::now();
  work();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double fastest(int64_t times, const std::function<void()>& work) {
  double best = 1e9;
  for (int64_t i = 0; i < times; ++i) best = std::min(best, seconds(work));
  return best;
}

// Forward and the gradient of the input for every matrix of the frozen model, the head for
// `head_rows`.
double bare_products(const peft::LanguageModel& model, int64_t rows, int64_t head_rows) {
  std::map<std::pair<int64_t, int64_t>, int64_t> shapes;
  for (const auto& item : model->named_parameters()) {
    const auto& w = item.value();
    if (w.dim() != 2 || item.key().find("lora_") != std::string::npos) continue;
    const auto& name = item.key();
    if (name.find("embed_tokens") != std::string::npos || name == "lm_head.weight") continue;
    ++shapes[{w.size(0), w.size(1)}];
  }
  const auto options = at::TensorOptions().dtype(model->head_weight().scalar_type());
  const auto pair = [&](int64_t out, int64_t in, int64_t tokens) {
    const auto w = at::randn({out, in}).to(options), x = at::randn({tokens, in}).to(options),
               g = at::randn({tokens, out}).to(options);
    return fastest(5, [&] {
      at::mm(x, w.t());
      at::mm(g, w);
    });
  };
  double total = 0;
  for (const auto& [shape, count] : shapes) {
    total += pair(shape.first, shape.second, rows) * static_cast<double>(count);
  }
  const auto head = model->shape();
  return head_rows > 0 ? total + pair(head.vocab, head.hidden, std::min<int64_t>(head_rows, 256)) *
                                     static_cast<double>(head_rows) /
                                     static_cast<double>(std::min<int64_t>(head_rows, 256))
                       : total;
}

double peak_megabytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024.0;
}

peft::PeftConfig adapter_config(const Arguments& arguments) {
  const auto& given = arguments.text("config");
  if (!given.empty()) return peft::parse_config(peft::parse_json(given, "--config"), "--config");
  const auto rank = arguments.number("rank");
  return peft::LoraConfig{.r = rank, .target_modules = "all-linear", .lora_alpha = 2 * rank};
}

int run(const Arguments& arguments) {
  peft::keep_freed_memory();  // as the program does
  at::set_num_threads(static_cast<int>(arguments.number("threads")));
  torch::manual_seed(1);
  const auto dtype = arguments.text("dtype") == "bfloat16" ? at::kBFloat16 : at::kFloat;
  auto opened = peft::open_model(arguments.text("model"), {.dtype = dtype});
  auto base = opened.model;
  base->train();
  base->set_gradient_checkpointing(arguments.number("checkpointing") != 0);
  peft::PeftModelForCausalLM model(base, adapter_config(arguments));
  std::vector<peft::train::TrainParameter> trained;
  for (const auto& [name, tensor] : model.trainable_parameters()) {
    trained.push_back({.name = name, .tensor = tensor, .decay = peft::train::decays(name)});
  }
  peft::train::AdamW optimizer(trained, {});
  const auto batch = arguments.number("batch"), length = arguments.number("length");
  const auto ids = at::randint(3, base->shape().vocab, {batch, length}, at::kLong);
  auto labels = ids.clone();
  const auto skipped = static_cast<int64_t>((1 - std::stod(arguments.text("completion"))) *
                                            static_cast<double>(length));
  if (skipped > 0) labels.narrow(1, 0, skipped).fill_(-100);
  const auto counted = labels.narrow(1, 1, length - 1).ne(-100).sum().item<int64_t>();

  double first_loss = 0, first_norm = 0;
  std::vector<double> steps;
  std::optional<OperatorTimes> times;
  for (int64_t step = 0; step < arguments.number("steps"); ++step) {
    if (step == 1 && arguments.number("profile") != 0) times.emplace();
    steps.push_back(seconds([&] {
      optimizer.zero_grad();
      const auto loss = model.loss_sum({.input_ids = ids}, labels) / counted;
      loss.backward();
      if (step == 0) {
        first_loss = loss.item<double>();
        first_norm = peft::train::gradient_norm(trained);
      }
      optimizer.step(1e-4);
    }));
  }
  if (times) OperatorTimes::print(static_cast<double>(steps.size() - 1));
  times.reset();
  const auto memory = peak_megabytes();
  const auto floor = bare_products(base, batch * length, counted);
  std::sort(steps.begin(), steps.end());
  std::printf(
      "{\"dtype\": \"%s\", \"fastest_step_s\": %.4f, \"median_step_s\": %.4f, "
      "\"tokens_per_s\": %.1f, \"bare_products_s\": %.4f, \"step_over_products\": %.3f, "
      "\"peak_rss_mb\": %.0f, \"first_loss\": %.6f, \"first_gradient_norm\": %.6f}\n",
      arguments.text("dtype").c_str(), steps.front(), steps[steps.size() / 2],
      static_cast<double>(batch * length) / steps.front(), floor, steps.front() / floor, memory,
      first_loss, first_norm);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(parse(argc, argv));
  } catch (const std::exception& error) {
    std::cerr << "train_step: " << error.what() << '\n';
    return 1;
  }
}
