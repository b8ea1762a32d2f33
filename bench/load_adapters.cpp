// How long loading an adapter takes, from the first to the last of several, and switching to one.
//
//   load_adapters MODEL ADAPTER [COUNT [low_cpu_mem_usage]]
//
// Prints one JSON object: the seconds of each load, the median of set_adapter in milliseconds, and
// by how much the loads raised the peak of the resident memory.
#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <functional>
#include <string>
#include <vector>

#include "peft/auto.h"
#include "peft/base/process.h"
#include "peft/peft.h"

namespace {

double seconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

int run(const std::string& folder, const std::string& adapter, int count, bool frugal) {
  at::set_num_threads(2);
  auto opened = peft::open_model(folder);
  std::vector<double> loads, switches;
  auto model = peft::PeftModelForCausalLM::from_pretrained(opened.model, adapter);
  const uint64_t before = peft::peak_rss_bytes();
  for (int i = 0; i < count; ++i) {
    loads.push_back(seconds([&] {
      model.load_adapter(adapter, "a" + std::to_string(i), {.low_cpu_mem_usage = frugal});
    }));
  }
  const double grown = static_cast<double>(peft::peak_rss_bytes() - before) / 1e6;
  for (int i = 0; i < count; ++i) {
    switches.push_back(seconds([&] { model.set_adapter("a" + std::to_string(i), true); }));
  }
  std::sort(switches.begin(), switches.end());
  std::printf("{\"load_s\": [");
  for (size_t i = 0; i < loads.size(); ++i) std::printf("%s%.5f", i > 0 ? ", " : "", loads[i]);
  std::printf("], \"set_adapter_ms\": %.4f, \"peak_grew_mb\": %.1f}\n",
              1e3 * switches[switches.size() / 2], grown);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: load_adapters MODEL ADAPTER [COUNT [low_cpu_mem_usage]]\n");
    return 2;
  }
  try {
    return run(argv[1], argv[2], argc > 3 ? std::stoi(argv[3]) : 16,
               argc > 4 && std::string(argv[4]) == "low_cpu_mem_usage");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "load_adapters: %s\n", error.what());
    return 1;
  }
}
