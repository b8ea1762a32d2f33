// What keeping a model's weights on disk saves and costs.
//
//   offload FOLDER ADAPTER memory|disk
//
// Opens a checkpoint folder with its weights in memory or on disk, puts the adapter on and scores
// 64 tokens five times. Prints one JSON object: the peak of this process's memory in MB, the median
// time of a pass in milliseconds and the loss, which is the same for both.
#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "peft/auto.h"
#include "peft/base/process.h"
#include "peft/peft.h"

namespace {

int run(const std::string& folder, const std::string& adapter, bool on_disk) {
  at::set_num_threads(2);
  peft::AutoOptions options;
  if (on_disk) options.device_map = {{"", "disk"}};
  auto model =
      peft::PeftModelForCausalLM::from_pretrained(peft::open_model(folder, options).model, adapter);
  const at::NoGradGuard no_grad;
  const auto ids = at::arange(64).view({1, 64});
  double loss = 0;
  std::vector<double> times;
  for (int i = 0; i < 5; ++i) {
    const auto start = std::chrono::steady_clock::now();
    loss = model.loss_sum({.input_ids = ids}, ids).item<double>();
    times.push_back(
        1e3 * std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::sort(times.begin(), times.end());
  std::printf("{\"peak_mb\": %.0f, \"pass_ms\": %.1f, \"loss\": %.4f}\n",
              static_cast<double>(peft::peak_rss_bytes()) / (1 << 20), times[2], loss);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: offload FOLDER ADAPTER memory|disk\n");
    return 2;
  }
  try {
    return run(argv[1], argv[2], std::string(argv[3]) == "disk");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "offload: %s\n", error.what());
    return 1;
  }
}
