// How long loading an adapter takes, from the first to the last of several, and switching to one.
//
//   load_adapters MODEL ADAPTER [COUNT]
//
// Prints one JSON object: the seconds of each load, and the median of set_adapter in milliseconds.
#include <ATen/Parallel.h>

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

double seconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

int run(const std::string& folder, const std::string& adapter, int count) {
  at::set_num_threads(2);
  auto opened = peft::open_model(folder);
  std::vector<double> loads, switches;
  auto model = peft::PeftModelForCausalLM::from_pretrained(opened.model, adapter);
  for (int i = 0; i < count; ++i) {
    loads.push_back(seconds([&] { model.load_adapter(adapter, "a" + std::to_string(i)); }));
  }
  for (int i = 0; i < count; ++i) {
    switches.push_back(seconds([&] { model.set_adapter("a" + std::to_string(i), true); }));
  }
  std::sort(switches.begin(), switches.end());
  std::printf("{\"load_s\": [");
  for (size_t i = 0; i < loads.size(); ++i) std::printf("%s%.5f", i > 0 ? ", " : "", loads[i]);
  std::printf("], \"set_adapter_ms\": %.4f}\n", 1e3 * switches[switches.size() / 2]);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: load_adapters MODEL ADAPTER [COUNT]\n");
    return 2;
  }
  try {
    return run(argv[1], argv[2], argc > 3 ? std::stoi(argv[3]) : 16);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "load_adapters: %s\n", error.what());
    return 1;
  }
}
