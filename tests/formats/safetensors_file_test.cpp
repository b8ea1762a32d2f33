#include "peft/formats/safetensors_file.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "peft/base/error.h"
#include "peft/formats/safetensors_writer.h"

namespace peft::formats {
namespace {
namespace fs = std::filesystem;

const fs::path kPythonFile = fs::path(PEFT_SOURCE_DIR) / "tests/formats/golden/python.safetensors";

std::string bytes_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

class SafetensorsFileTest : public testing::Test {
 protected:
  void SetUp() override {
    folder = fs::temp_directory_path() / ("peft_safetensors_" + std::to_string(::getpid()));
    fs::create_directories(folder);
  }
  void TearDown() override { fs::remove_all(folder); }
  fs::path folder;
};

TEST_F(SafetensorsFileTest, ReadsWhatPythonWrote) {
  const SafetensorsFile file(kPythonFile);
  EXPECT_TRUE(at::equal(file.load("b.weight"), torch::arange(6, at::kFloat).reshape({2, 3})));
  EXPECT_TRUE(at::equal(file.load("half"), torch::tensor({1.5, -2.0}).to(at::kHalf)));
  EXPECT_TRUE(at::equal(file.load("ids"), torch::tensor({1L, -(1L << 40)}).reshape({1, 2})));
  EXPECT_EQ(file.load("tiny").to(at::kFloat)[2].item<float>(), 448.0f);
  EXPECT_EQ(file.load("none").sizes(), (std::vector<int64_t>{0, 3}));
  EXPECT_EQ(file.load("scalar").item<int>(), 7);
}

TEST_F(SafetensorsFileTest, WritesTheSameBytesAsPython) {
  write_safetensors(folder / "again.safetensors", SafetensorsFile(kPythonFile).load_all());
  EXPECT_EQ(bytes_of(folder / "again.safetensors"), bytes_of(kPythonFile));
}

TEST_F(SafetensorsFileTest, EveryDtypeComesBack) {
  const at::ScalarType kinds[] = {at::kFloat,
                                  at::kBFloat16,
                                  at::kHalf,
                                  at::kDouble,
                                  at::kLong,
                                  at::kInt,
                                  at::kShort,
                                  at::kChar,
                                  at::kByte,
                                  at::kBool,
                                  at::kUInt64,
                                  at::kUInt32,
                                  at::kUInt16,
                                  at::kComplexFloat,
                                  at::kFloat8_e4m3fn,
                                  at::kFloat8_e5m2,
                                  at::kFloat8_e4m3fnuz,
                                  at::kFloat8_e5m2fnuz,
                                  at::kFloat8_e8m0fnu};
  StateDict tensors;
  for (const at::ScalarType kind : kinds) {
    // Bytes of 0 and 1 are numbers of every type, and booleans too.
    const at::Tensor bytes = torch::arange(24, at::kByte).remainder(2);
    tensors.set(c10::toString(kind), bytes.view(kind));
  }
  write_safetensors(folder / "x.safetensors", tensors);
  const SafetensorsFile file(folder / "x.safetensors");
  ASSERT_EQ(file.header().tensors.size(), std::size(kinds));
  for (const at::ScalarType kind : kinds) {
    const at::Tensor back = file.load(c10::toString(kind));
    EXPECT_EQ(back.scalar_type(), kind);
    EXPECT_TRUE(at::equal(back.view(at::kByte), tensors.at(c10::toString(kind)).view(at::kByte)))
        << kind;
  }
  EXPECT_TRUE(
      at::equal(file.load("Float8_e5m2", at::kFloat), tensors.at("Float8_e5m2").to(at::kFloat)));
  EXPECT_EQ(file.load("Long", at::kFloat).scalar_type(), at::kLong) << "numbers that count stay";
}

TEST_F(SafetensorsFileTest, AFileLargerThanTheMemoryOpensAndOnlyWhatIsTouchedIsRead) {
  constexpr uint64_t kSize = uint64_t{1} << 38;
  const std::string entry = R"(","shape":[)" + std::to_string(kSize) + R"(],"data_offsets":[0,)" +
                            std::to_string(kSize) + "]}}";
  const std::string header = R"({"w":{"dtype":"U8)" + entry;
  const uint64_t length = header.size();
  const fs::path huge = folder / "huge.safetensors";
  std::ofstream(huge, std::ios::binary).write(reinterpret_cast<const char*>(&length), 8) << header;
  fs::resize_file(huge, 8 + length + kSize);  // a hole in the file system: nothing is stored
  const at::Tensor tensor = SafetensorsFile(huge).load("w");
  EXPECT_EQ(tensor.numel(), static_cast<int64_t>(kSize));
  EXPECT_EQ(tensor[static_cast<int64_t>(kSize) - 1].item<int>(), 0);
}

TEST_F(SafetensorsFileTest, NamesThatNoReaderTakesAreNotWritten) {
  for (const char* name : {"__metadata__", "\xff"}) {
    EXPECT_THROW(write_safetensors(folder / "x.safetensors", {{name, torch::ones(2)}}),
                 ConfigError);
  }
  EXPECT_TRUE(fs::is_empty(folder));
}

TEST_F(SafetensorsFileTest, StridedAndSharedTensorsAreWrittenWhole) {
  const at::Tensor base = torch::arange(12, at::kFloat).reshape({3, 4});
  write_safetensors(folder / "x.safetensors", {{"t", base.t()}, {"row", base[1]}, {"all", base}});
  const SafetensorsFile file(folder / "x.safetensors");
  EXPECT_TRUE(at::equal(file.load("t"), base.t()));
  EXPECT_TRUE(at::equal(file.load("row"), base[1]));
}

TEST_F(SafetensorsFileTest, ATensorOutlivesItsFileObject) {
  at::Tensor tensor;
  { tensor = SafetensorsFile(kPythonFile).load("a.weight"); }
  EXPECT_EQ(tensor.sum().item<float>(), 6.0f);
}

TEST_F(SafetensorsFileTest, WritingToATensorLeavesTheFileAlone) {
  fs::copy_file(kPythonFile, folder / "copy.safetensors");
  const SafetensorsFile file(folder / "copy.safetensors");
  file.load("a.weight").fill_(9);
  EXPECT_EQ(file.load("a.weight").sum().item<float>(), 36.0f);
  EXPECT_EQ(bytes_of(folder / "copy.safetensors"), bytes_of(kPythonFile));
}

TEST_F(SafetensorsFileTest, AMissingNameIsAnErrorWithTheClosestNames) {
  try {
    SafetensorsFile(kPythonFile).load("b.weigth");
    FAIL() << "no error";
  } catch (const NotFoundError& e) {
    EXPECT_NE(std::string(e.what()).find("'b.weight'"), std::string::npos) << e.what();
  }
}

TEST_F(SafetensorsFileTest, AFileCutAtAnyLengthIsAFormatError) {
  const std::string whole = bytes_of(kPythonFile);
  for (size_t length = 0; length < whole.size(); length++) {
    const fs::path cut = folder / "cut.safetensors";
    std::ofstream(cut, std::ios::binary) << whole.substr(0, length);
    EXPECT_THROW(SafetensorsFile{cut}, FormatError) << length;
  }
}

TEST_F(SafetensorsFileTest, AMissingFolderIsAnErrorAndNothingIsMade) {
  EXPECT_THROW(write_safetensors(folder / "no" / "x.safetensors", {{"a", torch::ones(2)}}), Error);
  EXPECT_FALSE(fs::exists(folder / "no"));
}

}  // namespace
}  // namespace peft::formats
