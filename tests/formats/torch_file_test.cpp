#include "peft/formats/torch_file.h"

#include <gtest/gtest.h>

#include <limits>

#include "peft/base/error.h"
#include "tests/formats/hostile_files.h"
#include "tests/formats/torch_file_bytes.h"

namespace peft::formats {
namespace {

/// "FormatError: message", or "" where the bytes are read without complaint.
std::string torch_complaint(const std::string& bytes) {
  try {
    parse_exactly(bytes, [](auto span) { parse_torch_file(span, "model.bin"); });
  } catch (const FormatError& error) {
    return std::string("FormatError: ") + error.what();
  } catch (const UnsupportedError& error) {
    return std::string("UnsupportedError: ") + error.what();
  }
  return "";
}

void expect_torch_complaint(const std::string& bytes, const std::string& kind,
                            const std::string& part) {
  const std::string complaint = torch_complaint(bytes);
  EXPECT_TRUE(complaint.starts_with(kind + ": model.bin: ")) << part << " gave: " << complaint;
  EXPECT_NE(complaint.find(part), std::string::npos) << part << " not in: " << complaint;
}

TEST(TorchFile, OtherFilesAreRefusedByTheirFirstBytes) {
  expect_torch_complaint("", "FormatError", "ZIP archive");
  expect_torch_complaint("{\"a\": 1}", "FormatError", "ZIP archive");
  expect_torch_complaint("\x80\x02\x8a\nl", "UnsupportedError", "before PyTorch 1.6");
}

TEST(TorchFile, CodeIsRefusedByName) {
  expect_torch_complaint(torch_file_bytes("cposix\nsystem\n(" + pickled_text("true") + "tR"),
                         "UnsupportedError", "'posix.system', which is not opened");
  expect_torch_complaint(
      torch_file_bytes(pickled_text("builtins") + pickled_text("eval") + "\x93)R"),
      "UnsupportedError", "'builtins.eval'");
}

TEST(TorchFile, ReadsTheGoodOneThatTheBadOnesStartFrom) {
  const std::string bytes = torch_file_bytes(PickledTensor{.offset = 1, .shape = {2, 2}}.bytes());
  const auto tensors = parse_torch_file(std::as_bytes(std::span(bytes)), "model.bin");
  ASSERT_EQ(tensors.size(), 1);
  EXPECT_EQ(tensors[0].name, "w");
  EXPECT_EQ(tensors[0].dtype, "F32");
  EXPECT_EQ(tensors[0].shape, (std::vector<int64_t>{2, 2}));
  EXPECT_EQ(tensors[0].stride, (std::vector<int64_t>{3, 1}));
  EXPECT_EQ(tensors[0].begin, bytes.find("xxxx") + 4);
  EXPECT_EQ(tensors[0].end, bytes.find("xxxx") + 4 + 5 * 4) << "elements 1, 2, 4 and 5";
}

TEST(TorchFile, ATensorThatLeavesItsStorageIsAnError) {
  constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();
  const auto refused = [](const PickledTensor& tensor, const char* part) {
    expect_torch_complaint(torch_file_bytes(tensor.bytes()), "FormatError", part);
  };
  refused({.offset = 1}, "from element 1");
  refused({.offset = kHuge}, "range within the 6 elements");
  refused({.offset = -1}, "a number from 0");
  refused({.stride = {4, 1}}, "stride [4, 1]");
  refused({.stride = {kHuge, kHuge}}, "range within");
  refused({.stride = {3, -1}}, "a number from 0");
  refused({.stride = {3}}, "a stride for each dimension");
  refused({.shape = {-2, 3}}, "a number from 0");
  refused({.count = 7}, "a storage of 7 elements, got 24 bytes");
  refused({.count = kHuge}, "a storage of");
  refused({.key = "1"}, "there is no storage '1'");
  refused({.type = "ctorch._utils\n_rebuild_tensor_v2\n"}, "expected a storage");
  refused({.type = "ctorch.storage\nUntypedStorage\n"}, "belong together");
  refused({.shape = std::vector<int64_t>(17, 1), .stride = std::vector<int64_t>(17, 1)},
          "at most 16");
}

TEST(TorchFile, MoreElementsThanBytesAreNotServed) {
  const auto refused = [](std::vector<int64_t> shape, std::vector<int64_t> stride) {
    const PickledTensor tensor{.shape = std::move(shape), .stride = std::move(stride)};
    expect_torch_complaint(torch_file_bytes(tensor.bytes()), "UnsupportedError", "contiguous()");
  };
  refused({7}, {0});
  refused({int64_t{1} << 40}, {0});
  refused({int64_t{1} << 40, int64_t{1} << 40}, {0, 0});
  refused({0, int64_t{1} << 40, int64_t{1} << 40}, {1, 1, 1});
}

TEST(TorchFile, ADamagedArchiveIsAnError) {
  const ZipFiles files{{"a/data.pkl", "\x80\x02}."}};
  EXPECT_EQ(torch_complaint(zip_bytes(files)), "");
  const auto refused = [&](const ZipLies& lies, const char* kind, const char* part) {
    expect_torch_complaint(zip_bytes(files, lies), kind, part);
  };
  refused({.method = 8}, "UnsupportedError", "compressed");
  refused({.flags = 1}, "UnsupportedError", "encrypted");
  refused({.added_size = 1}, "FormatError", "expected one size, got 5 and 4");
  refused({.added_offset = 4}, "FormatError", "header at byte 4");
  refused({.added_offset = 0xfffffff0}, "FormatError", "range within");
  refused({.added_count = 1}, "FormatError", "cannot hold 2 entries");
  refused({.added_count = 0xfffe}, "FormatError", "64-bit");
  const auto wrong = [](const ZipFiles& all, const char* kind, const char* part) {
    expect_torch_complaint(zip_bytes(all), kind, part);
  };
  wrong({{"a/data.pkl", "x"}, {"a/data.pkl", "x"}}, "FormatError", "twice");
  wrong({}, "FormatError", "data.pkl");
  wrong({{"a/byteorder", "big"}, files[0]}, "UnsupportedError", "'big'");
  wrong({{"a/data.pkl", ""}}, "FormatError", "expected 1 more bytes");
}

TEST(TorchFile, AnyCutOrFlippedByteIsReadOrRefused) {
  const std::string whole = torch_file_bytes(PickledTensor().bytes());
  for (size_t length = 0; length < whole.size(); ++length) {
    EXPECT_NE(torch_complaint(whole.substr(0, length)), "") << length;
  }
  std::mt19937 random(5);
  for (int i = 0; i < 3000; ++i) torch_complaint(with_flipped_bytes(whole, random, 1 + i % 4));
}

}  // namespace
}  // namespace peft::formats
