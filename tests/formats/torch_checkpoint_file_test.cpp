#include "peft/formats/torch_checkpoint_file.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cstring>
#include <filesystem>

#include "peft/base/error.h"
#include "peft/base/file.h"
#include "peft/formats/safetensors_file.h"
#include "tests/formats/torch_file_bytes.h"

namespace peft::formats {
namespace {

namespace fs = std::filesystem;

const fs::path kTorchGolden = fs::path(PEFT_SOURCE_DIR) / "tests/formats/golden";

class TorchCheckpointFile : public testing::Test {
 protected:
  void SetUp() override {
    folder = fs::temp_directory_path() / ("peft_torch_file_" + std::to_string(::getpid()));
    fs::create_directories(folder);
  }
  void TearDown() override { fs::remove_all(folder); }

  StateDict read(const std::string& bytes) const {
    write_file_atomically(folder / "bytes.bin", bytes);
    return read_torch_file(folder / "bytes.bin");
  }

  fs::path folder;
};

bool same_bytes(const at::Tensor& a, const at::Tensor& b) {
  if (a.scalar_type() != b.scalar_type() || a.sizes() != b.sizes()) return false;
  const at::Tensor left = a.contiguous(), right = b.contiguous();
  return left.numel() == 0 ||
         std::memcmp(left.const_data_ptr(), right.const_data_ptr(), left.nbytes()) == 0;
}

void expect_same_tensors(const StateDict& actual, const StateDict& expected) {
  EXPECT_EQ(actual.size(), expected.size());
  for (const auto& [name, tensor] : expected) {
    EXPECT_TRUE(actual.contains(name) && same_bytes(actual.at(name), tensor)) << name;
  }
}

TEST_F(TorchCheckpointFile, ReadsEveryDtypeThatPythonSaves) {
  expect_same_tensors(read_torch_file(kTorchGolden / "torch_dtypes.bin"),
                      SafetensorsFile(kTorchGolden / "torch_dtypes.safetensors").load_all());
}

TEST_F(TorchCheckpointFile, ReadsViewsOfOneStorageWithoutCopies) {
  const StateDict views = read_torch_file(kTorchGolden / "torch_views.bin");
  expect_same_tensors(views, SafetensorsFile(kTorchGolden / "torch_views.safetensors").load_all());
  EXPECT_EQ(views.names().front(), "whole");
  EXPECT_EQ(views.names().back(), "parameter");
  const auto* first = views.at("whole").const_data_ptr<float>();
  EXPECT_EQ(views.at("transposed").const_data_ptr<float>(), first);
  EXPECT_EQ(views.at("row").const_data_ptr<float>(), first + 12);
  EXPECT_EQ(views.at("steps").const_data_ptr<float>(), first + 6);
}

TEST_F(TorchCheckpointFile, WhatIsNoStateDictSaysWhatItIs) {
  const auto refused = [](const char* name, const std::string& part) {
    try {
      read_torch_file(kTorchGolden / name);
      ADD_FAILURE() << name;
    } catch (const UnsupportedError& error) {
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  };
  refused("torch_conjugated.bin", "'lazy'");
  refused("torch_training_state.bin", "'step': expected a dense tensor, got the number 3");
  refused("torch_before_1_6.bin", "before PyTorch 1.6");
  refused("torch_module.bin", "torch.nn.modules.linear");
  EXPECT_THROW(read_torch_file(kTorchGolden / "python.safetensors"), FormatError);
  EXPECT_THROW(read_torch_file(kTorchGolden / "none.bin"), NotFoundError);
}

TEST_F(TorchCheckpointFile, OddlyPlacedStoragesAreCopiedButNotWithoutEnd) {
  const std::string values(reinterpret_cast<const char*>(std::vector<float>{1, 2}.data()), 8);
  const PickledTensor tensor{.count = 2, .shape = {2}, .stride = {1}};
  bool odd = false;
  for (const char* folder_name : {"a", "ab", "abc", "abcd"}) {
    const std::string name = folder_name;
    std::string pickle = "\x80\x02}(";
    for (int i = 0; i < 200; ++i) pickle += pickled_text(std::to_string(i)) + tensor.bytes();
    const std::string many =
        zip_bytes({{name + "/data/0", values}, {name + "/data.pkl", pickle + "u."}});
    EXPECT_TRUE(at::equal(read(many).at("199"), torch::tensor({1.0f, 2.0f})));
    odd |= many.find(values) % 4 != 0;
  }
  EXPECT_TRUE(odd);
  const std::string large(4000, 'x');
  const std::string shared = PickledTensor{.count = 1000, .shape = {1000}, .stride = {1}}.bytes();
  const std::string pickle = "\x80\x02}(" + pickled_text("a") + shared + pickled_text("b") +
                             shared + pickled_text("c") + shared + "u.";
  int refusals = 0;
  for (const char* folder_name : {"a", "ab", "abc", "abcd"}) {
    const std::string name = folder_name;
    try {
      EXPECT_EQ(read(zip_bytes({{name + "/data/0", large}, {name + "/data.pkl", pickle}})).size(),
                3);
    } catch (const UnsupportedError&) {
      ++refusals;
    }
  }
  EXPECT_EQ(refusals, 3);
}

TEST_F(TorchCheckpointFile, WhatIsWrittenIsReadAgain) {
  for (const char* name : {"torch_dtypes.bin", "torch_views.bin"}) {
    const StateDict tensors = read_torch_file(kTorchGolden / name);
    write_torch_file(folder / "adapter_model.bin", tensors);
    const StateDict again = read_torch_file(folder / "adapter_model.bin");
    expect_same_tensors(again, tensors);
    EXPECT_EQ(again.names(), tensors.names());
  }
}

TEST_F(TorchCheckpointFile, WhatTwoNamesShareIsWrittenOnce) {
  const at::Tensor weight = torch::ones({64, 64});
  write_torch_file(folder / "shared.bin",
                   {{"a", weight}, {"b", weight}, {"none", torch::ones({0})}});
  EXPECT_LT(fs::file_size(folder / "shared.bin"), 2 * weight.nbytes());
  const StateDict again = read_torch_file(folder / "shared.bin");
  EXPECT_EQ(again.at("a").const_data_ptr(), again.at("b").const_data_ptr());
  EXPECT_EQ(again.at("none").sizes(), (std::vector<int64_t>{0}));
}

TEST_F(TorchCheckpointFile, WhatCannotBeWrittenLeavesTheOldFile) {
  write_file_atomically(folder / "old.bin", "old");
  EXPECT_THROW(write_torch_file(folder / "old.bin", {{"\xff", torch::ones({1})}}), ConfigError);
  EXPECT_THROW(write_torch_file(folder / "old.bin", {{"a", torch::ones({1}, at::kComplexDouble)}}),
               UnsupportedError);
  EXPECT_EQ(read_text_file(folder / "old.bin"), "old");
}

}  // namespace
}  // namespace peft::formats
