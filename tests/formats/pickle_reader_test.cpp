#include "peft/formats/pickle_reader.h"

#include <gtest/gtest.h>

#include <array>

#include "peft/base/error.h"
#include "tests/formats/torch_file_bytes.h"

namespace peft::formats {
namespace {

constexpr std::array<std::string_view, 2> kAllowedNames{"collections OrderedDict", "torch f"};

/// The pickle of protocol 2 with these opcodes and its end.
Pickle unpickled(const std::string& opcodes) {
  const std::string bytes = "\x80\x02" + opcodes + ".";
  return read_pickle(std::as_bytes(std::span(bytes)), "data.pkl", kAllowedNames);
}

template <typename Expected>
void expect_pickle_error(const std::string& opcodes, const std::string& part) {
  try {
    unpickled(opcodes);
    ADD_FAILURE() << "expected an error with: " << part;
  } catch (const Expected& error) {
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

int64_t unpickled_number(const std::string& opcodes) {
  const Pickle pickle = unpickled(opcodes);
  return pickle.values[pickle.root].integer;
}

TEST(PickleReader, ReadsWholeNumbers) {
  EXPECT_EQ(unpickled_number("K\xff"), 255);
  EXPECT_EQ(unpickled_number("M\xff\xff"), 65535);
  EXPECT_EQ(unpickled_number("J\xff\xff\xff\xff"), -1);
  EXPECT_EQ(unpickled_number(std::string("\x8a\0", 2)), 0);
  EXPECT_EQ(unpickled_number("\x8a\x01\xfe"), -2);
  EXPECT_EQ(unpickled_number("\x8a\x05" + std::string("\0\0\0\0\x01", 5)), int64_t{1} << 32);
  EXPECT_EQ(unpickled_number(pickled_number(std::numeric_limits<int64_t>::min())),
            std::numeric_limits<int64_t>::min());
}

TEST(PickleReader, FillsContainersAndRecallsValues) {
  // {"a": (None, True), "b": <the same tuple>} in an OrderedDict
  const Pickle pickle = unpickled("ccollections\nOrderedDict\n)R(" + pickled_text("a") +
                                  "N\x88\x86q\x07" + pickled_text("b") + "h\x07u");
  const PickleValue& root = pickle.values[pickle.root];
  ASSERT_EQ(root.kind, PickleValue::Kind::kDict);
  ASSERT_EQ(root.items.size(), 4);
  EXPECT_EQ(root.items[1], root.items[3]);
  EXPECT_EQ(pickle.values[root.items[2]].text, "b");
  EXPECT_EQ(pickle.values[root.items[1]].items.size(), 2);
}

TEST(PickleReader, DescribesCallsWithoutMakingThem) {
  const Pickle pickle = unpickled("ctorch\nf\nK\x01\x85R");
  EXPECT_EQ(describe(pickle, pickle.root), "a call of 'torch.f'");
}

TEST(PickleReader, NamesOutsideTheListAreRefused) {
  expect_pickle_error<UnsupportedError>("cos\nsystem\n", "'os.system'");
  expect_pickle_error<UnsupportedError>("ctorch\nff\n", "'torch.ff'");
  expect_pickle_error<UnsupportedError>("c\ntorch f\n", "names");
}

TEST(PickleReader, OpcodesThatTensorsDoNotNeedAreRefused) {
  for (const char* opcode : {"i", "o", "\x81", "\x92", "\x82", "P", "\x8f", "B", "\x97", "I"}) {
    expect_pickle_error<UnsupportedError>(opcode, "the opcode");
  }
}

TEST(PickleReader, AStackThatIsTooShortIsAnError) {
  for (const char* opcodes : {"", "t", "\x86", "N(", "(u", "N(\x85", "Ra", "b", "Q", "q", "Ns"}) {
    expect_pickle_error<FormatError>(opcodes, "data.pkl");
  }
}

TEST(PickleReader, LengthsBeyondTheBytesAreErrors) {
  expect_pickle_error<FormatError>("X\xff\xff\xff\xff", "expected 4294967295 more bytes");
  expect_pickle_error<FormatError>("\x8d\xff\xff\xff\xff\xff\xff\xff\xff", "more bytes, got 1");
  expect_pickle_error<FormatError>("\x8a\xff", "255 bytes");
  expect_pickle_error<FormatError>("ctorch", "expected a line");
  expect_pickle_error<FormatError>("h\x09", "number 9");
}

TEST(PickleReader, WorkAndMemoryAreBounded) {
  expect_pickle_error<FormatError>(std::string(2'000'000, 'N'), "at most 1048576 values");
  expect_pickle_error<FormatError>(std::string(17 << 20, '('), "at most 16777216 bytes");
  // A list that contains itself, and a deep one: no recursion runs over them.
  EXPECT_NO_THROW(
      unpickled("]q\x01h\x01"
                "a"));
  EXPECT_NO_THROW(unpickled("]" + std::string(500'000, '\x85')));
}

TEST(PickleReader, OtherProtocolsAreErrors) {
  for (const std::string bytes : {"", "\x80", "\x80\x01N.", "\x80\x06N.", "N."}) {
    EXPECT_THROW(read_pickle(std::as_bytes(std::span(bytes)), "data.pkl", {}), FormatError);
  }
}

}  // namespace
}  // namespace peft::formats
