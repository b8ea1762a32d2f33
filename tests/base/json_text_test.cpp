#include "peft/base/json_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "peft/base/error.h"

namespace peft {
namespace {

using testing::HasSubstr;

std::string complaint(const std::string& text, const JsonLimits& limits = {}) {
  try {
    parse_json(text, "config.json", limits);
  } catch (const FormatError& error) {
    return error.what();
  }
  return "";
}

TEST(JsonText, KeepsTheOrderOfKeysAndTheLastOfTwoAsPython) {
  const Json json = parse_json(R"({"b": 1, "a": [true, null, -2, 0.5], "b": "x"})", "test");
  EXPECT_EQ(dump_json(json, {.indent = std::nullopt}), R"({"b": "x", "a": [true, null, -2, 0.5]})");
  EXPECT_THAT(complaint(R"({"b": 1, "b": 2})", {.reject_duplicate_keys = true}),
              HasSubstr("'b' is there twice"));
}

TEST(JsonText, ErrorsSayFileLineAndColumn) {
  EXPECT_THAT(complaint("{\n  \"a\": ]\n}"),
              HasSubstr("config.json: line 2, column 8: not valid JSON"));
  EXPECT_THAT(complaint(""), HasSubstr("line 1, column 1"));
  EXPECT_THAT(complaint("{\"a\": \"\xff\"}"), HasSubstr("not valid JSON"));
}

TEST(JsonText, DepthAndLengthAreBounded) {
  EXPECT_EQ(complaint(std::string(128, '[') + std::string(128, ']')), "");
  EXPECT_THAT(complaint(std::string(1'000'000, '[')), HasSubstr("at most 128 levels"));
  EXPECT_THAT(complaint("[1, 2, 3]", {.max_bytes = 4}), HasSubstr("too long"));
}

TEST(JsonText, ALargeObjectIsReadInLinearTime) {
  std::string text = "{";
  for (int i = 0; i < 200'000; ++i) {
    text += (i > 0 ? ",\"k" : "\"k") + std::to_string(i) + "\":" + std::to_string(i);
  }
  EXPECT_EQ(parse_json(text + "}", "vocabulary").size(), 200'000);  // minutes if it were quadratic
}

TEST(JsonText, DumpsAsPythonWithIndentAndSortedKeys) {
  const Json json = parse_json(R"({"b": [], "a": {"d": 8.0, "c": [1, 1e-05]}, "e": {}})", "test");
  EXPECT_EQ(dump_json(json, {.sort_keys = true}),
            "{\n  \"a\": {\n    \"c\": [\n      1,\n      1e-05\n    ],\n    \"d\": 8.0\n  },\n"
            "  \"b\": [],\n  \"e\": {}\n}");
}

TEST(JsonText, EscapesAsPython) {
  const Json text = "é\u2028\x7f\x01\n\"\\/😀";
  EXPECT_EQ(dump_json(text), R"("\u00e9\u2028\u007f\u0001\n\"\\/\ud83d\ude00")");
  EXPECT_EQ(dump_json(Json("é\x7f\x01😀"), {.ensure_ascii = false}), "\"é\x7f\\u0001😀\"");
  EXPECT_THROW(dump_json(Json("\xc3")), FormatError);
}

TEST(PythonFloat, IsTheReprOfPython) {
  EXPECT_EQ(python_float(8), "8.0");
  EXPECT_EQ(python_float(0.05), "0.05");
  EXPECT_EQ(python_float(0.0001), "0.0001");
  EXPECT_EQ(python_float(1e-5), "1e-05");
  EXPECT_EQ(python_float(-123.456), "-123.456");
  EXPECT_EQ(python_float(1e15), "1000000000000000.0");
  EXPECT_EQ(python_float(1e16), "1e+16");
  EXPECT_EQ(python_float(123456789012345680.0), "1.2345678901234568e+17");
  EXPECT_EQ(python_float(-0.0), "-0.0");
  EXPECT_EQ(python_float(INFINITY), "Infinity");
}

}  // namespace
}  // namespace peft
