#pragma once

#include <gtest/gtest.h>
#include <torch/torch.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "peft/adapter/tag.h"
#include "peft/adapter_folder.h"
#include "peft/base/json_text.h"
#include "peft/formats/safetensors_file.h"
#include "peft/peft_model.h"
#include "tests/front/support.h"

namespace peft::test {

inline std::filesystem::path golden(const std::string& name) {
  return std::filesystem::path(PEFT_SOURCE_DIR) / "tests/front/golden" / name;
}

/// What the golden runs are computed on: the device of PEFT_TEST_DEVICE, else the CPU. Always in
/// float32 in full, which convolutions on a GPU are not by themselves.
inline at::Device test_device() {
  const char* word = std::getenv("PEFT_TEST_DEVICE");
  if (word == nullptr) return at::kCPU;
  at::globalContext().setAllowTF32CuDNN(false);
  return at::Device(word);
}

inline StateDict tensors_of(const std::filesystem::path& file) {
  StateDict tensors;
  for (const auto& [name, tensor] : formats::SafetensorsFile(file).load_all()) {
    tensors.set(name, tensor.to(test_device()));
  }
  return tensors;
}

/// The model before it was adapted: `base.safetensors` of a golden folder.
template <typename Net>
Net net_of(const std::filesystem::path& folder) {
  Net net;
  const at::NoGradGuard no_grad;
  const StateDict weights = tensors_of(folder / "base.safetensors");
  for (auto& parameter : net->named_parameters()) {
    parameter.value().copy_(weights.at(parameter.key()));
  }
  net->to(test_device());
  return net;
}

inline void expect_close(const at::Tensor& ours, const at::Tensor& python,
                         const std::string& what) {
  ASSERT_EQ(ours.sizes(), python.sizes()) << what;
  const double scale = std::max(1.0, python.abs().max().item<double>());
  EXPECT_LT((ours.detach().cpu() - python.cpu()).abs().max().item<double>(), 2e-5 * scale) << what;
}

/// Gradients under the keys of the file, found by the identity of the memory. What is tied shares
/// it turned around, with another shape.
inline std::map<std::string, at::Tensor> gradients(PeftModel& model) {
  using Place = std::pair<const void*, std::vector<int64_t>>;
  const auto place = [](const at::Tensor& tensor) {
    return Place(tensor.data_ptr(), tensor.sizes().vec());
  };
  std::map<Place, at::Tensor> by_place;
  for (auto& [name, tensor] : model.trainable_parameters()) {
    by_place[place(base(tensor))] = tensor.grad();
  }
  std::map<std::string, at::Tensor> found;
  for (const auto& [key, tensor] : model.state_dict()) {
    if (by_place.contains(place(tensor))) found[key] = by_place[place(tensor)];
  }
  return found;
}

/// Output, merge and unmerge, gradients and three steps are those that golden.py wrote down.
template <typename Model, typename Forward>
void expect_training_like_python(Model& model, const StateDict& run, Forward forward) {
  const at::Tensor x = run.at("input");
  expect_close(forward(x), run.at("output"), "output");
  if (run.contains("merged")) {
    const at::Tensor before = forward(x).detach();
    model.merge_adapter();
    expect_close(forward(x), run.at("merged"), "merged");
    model.unmerge_adapter();
    EXPECT_TRUE(at::equal(forward(x), before)) << "unmerge must restore the bytes";
  }
  forward(x).square().sum().backward();
  const auto grads = gradients(model);
  EXPECT_FALSE(grads.empty());
  for (const auto& [key, grad] : grads) {
    ASSERT_TRUE(grad.defined()) << key;
    expect_close(grad, run.at("grad." + key), "gradient of " + key);
  }
  std::vector<at::Tensor> learning;
  for (auto& [name, tensor] : model.trainable_parameters()) learning.push_back(tensor);
  torch::optim::SGD sgd(learning, torch::optim::SGDOptions(0.005));
  for (int step = 0; step < 3; ++step) {
    sgd.zero_grad();
    forward(x).square().sum().backward();
    sgd.step();
  }
  for (const auto& [key, tensor] : model.state_dict()) {
    expect_close(tensor, run.at("after." + key), "after three steps " + key);
  }
}

/// Three steps of AdamW, as after_adamw of golden_tying.py takes them.
template <typename Model, typename Forward>
void expect_adamw_like_python(Model& model, const StateDict& run, Forward forward) {
  std::vector<at::Tensor> learning;
  for (auto& [name, tensor] : model.trainable_parameters()) learning.push_back(tensor);
  torch::optim::AdamW adamw(learning,
                            torch::optim::AdamWOptions(0.01).eps(1e-3).weight_decay(0.01));
  for (int step = 0; step < 3; ++step) {
    adamw.zero_grad();
    forward(run.at("input")).square().sum().backward();
    adamw.step();
  }
  for (const auto& [key, tensor] : model.state_dict()) {
    expect_close(tensor, run.at("adam." + key), "after three steps of AdamW " + key);
  }
}

inline std::set<std::string> keys(const StateDict& state) {
  const auto names = state.names();
  return {names.begin(), names.end()};
}

/// The files: same keys, same config but for the order of sets and the names of the base's class.
inline void expect_same_files(const PeftModel& model, const std::filesystem::path& folder) {
  const TemporaryFolder ours("golden_" + folder.filename().string());
  model.save_pretrained(ours.path());
  EXPECT_EQ(keys(read_adapter_weights(ours.path())), keys(read_adapter_weights(folder)));
  Json written = read_json_file(ours.path() / "adapter_config.json");
  Json python = read_json_file(folder / "adapter_config.json");
  for (Json* config : {&written, &python}) {
    config->erase("auto_mapping");
    for (const char* key : {"target_modules", "exclude_modules"}) {
      if ((*config)[key].is_array()) std::sort((*config)[key].begin(), (*config)[key].end());
    }
  }
  EXPECT_EQ(dump_json(written), dump_json(python));
}

}  // namespace peft::test
