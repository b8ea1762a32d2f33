// Wherever loading an adapter fails, the model is afterwards as it was, and says what is wrong.
#include <gtest/gtest.h>
#include <torch/torch.h>
#include <unistd.h>

#include <fstream>
#include <functional>

#include "peft/base/error.h"
#include "peft/base/file.h"
#include "peft/peft_model.h"
#include "peft/tensor/tag_key.h"
#include "tests/front/support.h"

namespace peft {
namespace {

namespace fs = std::filesystem;
using test::Net;
using test::TemporaryFolder;

void write(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

struct Damage {
  const char* what;
  std::function<void(const fs::path& folder)> make;
  std::vector<std::string> message;  // parts that must be in it
};

void replace_in_config(const fs::path& folder, const std::string& from, const std::string& to) {
  std::string text = read_text_file(folder / "adapter_config.json");
  const size_t at = text.find(from);
  ASSERT_NE(at, std::string::npos) << from;
  write(folder / "adapter_config.json", text.replace(at, from.size(), to));
}

std::vector<Damage> damages() {
  const std::string weights = "adapter_model.safetensors";
  return {
      {"no folder",
       [](const fs::path& folder) { fs::remove_all(folder); },
       {"adapter_config.json"}},
      {"no config",
       [](const fs::path& folder) { fs::remove(folder / "adapter_config.json"); },
       {"adapter_config.json"}},
      {"a config that is no JSON",
       [](const fs::path& folder) { write(folder / "adapter_config.json", "{\"r\": "); },
       {"adapter_config.json"}},
      {"a config of no method",
       [](const fs::path& folder) { write(folder / "adapter_config.json", "{}"); },
       {"adapter_config.json", "peft_type"}},
      {"a method that is not known",
       [](const fs::path& folder) { replace_in_config(folder, "\"LORA\"", "\"LARO\""); },
       {"peft_type", "LARO", "LORA"}},
      {"a value of the wrong type",
       [](const fs::path& folder) { replace_in_config(folder, "\"r\": 2", "\"r\": \"2\""); },
       {"adapter_config.json", "r: expected"}},
      {"targets that the model has not",
       [](const fs::path& folder) { replace_in_config(folder, "\"fc1\"", "\"fc7\""); },
       {"fc7", "'fc1'"}},
      {"no weights", [=](const fs::path& folder) { fs::remove(folder / weights); }, {weights}},
      {"pickled weights that are none",
       [=](const fs::path& folder) { fs::rename(folder / weights, folder / "adapter_model.bin"); },
       {"adapter_model.bin", "ZIP archive"}},
      {"weights that were cut off",
       [=](const fs::path& folder) {
         fs::resize_file(folder / weights, fs::file_size(folder / weights) - 7);
       },
       {weights}},
      {"an adapter of another rank",
       [](const fs::path& folder) { replace_in_config(folder, "\"r\": 2", "\"r\": 3"); },
       {"lora_", "expected shape", "got"}},
  };
}

/// An adapter of Net with everything on: biases and a module in full.
void make_adapter(const fs::path& folder) {
  Net net;
  auto model = get_peft_model(net, LoraConfig{.r = 2,
                                              .target_modules = {"fc1"},
                                              .bias = "all",
                                              .modules_to_save = std::vector<std::string>{"fc2"},
                                              .init_lora_weights = false});
  model.save_pretrained(folder);
}

struct Snapshot {
  std::vector<std::string> names;
  std::vector<bool> tagged, learns;
  at::Tensor output;
  bool training;

  Snapshot(Net& net, const at::Tensor& x) : training(net->is_training()) {
    for (const auto& item : net->named_parameters()) {
      names.push_back(item.key());
      tagged.push_back(is_tagged(item.value()));
      learns.push_back(item.value().requires_grad());
    }
    output = net->forward(x).detach();
  }
  void expect_unchanged(Net& net, const at::Tensor& x) const {
    const Snapshot now(net, x);
    EXPECT_EQ(now.names, names);
    EXPECT_EQ(now.tagged, tagged);
    EXPECT_EQ(now.learns, learns);
    EXPECT_EQ(now.training, training);
    EXPECT_TRUE(at::equal(now.output, output));
  }
};

template <typename Load>
void expect_error(const Damage& damage, Load load) {
  try {
    load();
    ADD_FAILURE() << "expected an error";
  } catch (const Error& error) {
    for (const std::string& part : damage.message) {
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos)
          << part << " in: " << error.what();
    }
  }
}

TEST(FailedLoad, OfAModelLeavesTheBaseAsItWas) {
  const at::Tensor x = torch::randn({3, 6});
  for (const Damage& damage : damages()) {
    SCOPED_TRACE(damage.what);
    const TemporaryFolder folder("damaged");
    make_adapter(folder.path());
    Net net;
    net->fc1->bias.set_requires_grad(false);
    const Snapshot before(net, x);
    damage.make(folder.path());
    expect_error(damage, [&] { PeftModel::from_pretrained(net, folder.path()); });
    before.expect_unchanged(net, x);
    make_adapter(folder.path());
    EXPECT_NO_THROW(PeftModel::from_pretrained(net, folder.path())) << "the model is still good";
  }
}

TEST(FailedLoad, OfAnotherAdapterLeavesTheModelAsItWas) {
  const at::Tensor x = torch::randn({3, 6});
  for (const Damage& damage : damages()) {
    SCOPED_TRACE(damage.what);
    const TemporaryFolder folder("damaged");
    {
      Net other;
      get_peft_model(other, LoraConfig{.r = 2, .target_modules = {"fc1"}})
          .save_pretrained(folder.path());
    }
    Net net;
    auto model = get_peft_model(
        net,
        LoraConfig{.r = 2, .target_modules = {"fc2"}, .bias = "all", .init_lora_weights = false});
    const Snapshot before(net, x);
    const auto keys = model.state_dict().names();
    damage.make(folder.path());
    expect_error(damage, [&] { model.load_adapter(folder.path(), "second"); });
    before.expect_unchanged(net, x);
    EXPECT_EQ(model.state_dict().names(), keys);
    EXPECT_EQ(model.peft_config().size(), 1u);
  }
}

TEST(FailedLoad, IntoAnAdapterThatExistsKeepsItsValues) {
  const TemporaryFolder folder("rank");
  Net net, other;
  get_peft_model(other, LoraConfig{.r = 3, .target_modules = {"fc1"}})
      .save_pretrained(folder.path());
  auto model = get_peft_model(net, LoraConfig{.r = 2, .target_modules = {"fc1"}});
  StateDict before;
  for (const auto& [key, tensor] : model.state_dict()) before.set(key, tensor.clone());
  EXPECT_THROW(model.load_adapter(folder.path(), "default"), MismatchError);
  for (const auto& [key, tensor] : model.state_dict()) {
    EXPECT_TRUE(at::equal(tensor, before.at(key))) << key;
  }
  EXPECT_TRUE(net->is_training());
}

}  // namespace
}  // namespace peft
