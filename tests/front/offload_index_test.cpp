// The index of weights on disk, with the names and files that Python gives them.

#include "peft/offload_index.h"

#include <gtest/gtest.h>
#include <torch/torch.h>
#include <unistd.h>

#include "peft/base/error.h"
#include "peft/formats/safetensors_file.h"
#include "peft/formats/safetensors_writer.h"
#include "tests/front/support.h"
#include "tests/support/expect_message.h"

namespace peft {
namespace {

namespace fs = std::filesystem;
using test::expect_message;
using test::Net;
using test::TemporaryFolder;

StateDict write_net(const Net& net, const fs::path& file) {
  StateDict tensors;
  for (const auto& item : net->named_parameters()) tensors.set(item.key(), item.value().clone());
  fs::create_directories(file.parent_path());
  formats::write_safetensors(file, tensors, {{"format", "pt"}, {"maker", "test"}});
  return tensors;
}

OffloadIndex index_of(const StateDict& tensors, const fs::path& file) {
  OffloadIndex index;
  for (const auto& [name, tensor] : tensors) index[name] = {file, name};
  return index;
}

TEST(OffloadIndex, GetsTheNamesOfTheAdaptedModel) {
  const TemporaryFolder folder("offload");
  const fs::path file = folder.path() / "models--org--net" / "snapshot" / "model.safetensors";
  Net net;
  const StateDict tensors = write_net(net, file);
  auto model = get_peft_model(net, LoraConfig{.r = 2, .target_modules = {"fc1"}});
  const StateDict adapter = model.state_dict();
  const OffloadIndex updated = update_offload(model, index_of(tensors, file), adapter);

  const fs::path copy = folder.path() / "models--org--net-peft" / "snapshot" / "model.safetensors";
  const std::map<std::string, at::Tensor> wanted{
      {"base_model.model.fc1.base_layer.weight", tensors.at("fc1.weight")},
      {"base_model.model.fc1.base_layer.bias", tensors.at("fc1.bias")},
      {"base_model.model.fc1.lora_A.default.weight",
       adapter.at("base_model.model.fc1.lora_A.weight")},
      {"base_model.model.fc1.lora_B.default.weight",
       adapter.at("base_model.model.fc1.lora_B.weight")},
      {"base_model.model.fc2.weight", tensors.at("fc2.weight")},
      {"base_model.model.fc2.bias", tensors.at("fc2.bias")}};
  const formats::SafetensorsFile written(copy);
  EXPECT_EQ(written.header().tensors.size(), wanted.size());
  EXPECT_EQ(updated.size(), wanted.size());
  for (const auto& [name, tensor] : wanted) {
    ASSERT_TRUE(updated.contains(name)) << name;
    EXPECT_EQ(updated.at(name).safetensors_file, copy);
    EXPECT_EQ(updated.at(name).weight_name, name);
    EXPECT_TRUE(at::equal(written.load(name), tensor)) << name;
  }
  EXPECT_EQ(written.header().metadata.size(), 2u);
  EXPECT_EQ(formats::SafetensorsFile(file).header().tensors.size(), 4u) << "the base's file stays";
}

TEST(OffloadIndex, AWrongOneIsRefused) {
  const TemporaryFolder folder("offload_wrong");
  const fs::path file = folder.path() / "models--org--net" / "model.safetensors";
  Net net;
  const StateDict tensors = write_net(net, file);
  auto model = get_peft_model(net, LoraConfig{.r = 2, .target_modules = {"fc1"}});
  EXPECT_TRUE(update_offload(model, {}, {}).empty());
  expect_message<ConfigError>({"'--'"}, [&] {
    update_offload(model, index_of(tensors, folder.path() / "model.safetensors"), {});
  });
  expect_message<ConfigError>({"'fc3.weight'", "modules"}, [&] {
    update_offload(model, {{"fc3.weight", {file, "fc3.weight"}}}, {});
  });
  EXPECT_FALSE(fs::exists(folder.path() / "models--org--net-peft"));
  model.add_adapter("second", LoraConfig{.r = 2, .target_modules = {"fc1"}});
  expect_message<ConfigError>({"one adapter", "got 2"},
                              [&] { update_offload(model, index_of(tensors, file), {}); });
}

}  // namespace
}  // namespace peft
