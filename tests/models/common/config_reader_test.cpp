#include "peft/models/common/config_reader.h"

#include <gtest/gtest.h>

#include "peft/base/error.h"

namespace peft {
namespace {

int64_t count_labels(const Json& config) {
  return read_num_labels(ConfigReader(config, "config.json"));
}

TEST(ConfigReader, LabelsAreCountedAsTransformersCountsThem) {
  EXPECT_EQ(count_labels(Json::object()), 2);
  EXPECT_EQ(count_labels({{"num_labels", 5}}), 5);
  EXPECT_EQ(count_labels({{"id2label", nullptr}, {"num_labels", 1}}), 1);
  EXPECT_EQ(count_labels({{"id2label", {{"0", "a"}, {"1", "b"}, {"2", "c"}}}, {"num_labels", 7}}),
            3);
  EXPECT_EQ(count_labels({{"label2id", {{"a", 0}}}}), 2);
  EXPECT_THROW(count_labels({{"id2label", Json::array({"a", "b"})}}), ConfigError);
  EXPECT_THROW(count_labels({{"id2label", Json::object()}}), ConfigError);
  EXPECT_THROW(count_labels({{"num_labels", 0}}), ConfigError);
}

TEST(ConfigReader, PaddingIsATokenOrNone) {
  const auto padding = [](const Json& config) {
    return read_padding(ConfigReader(config, "config.json"), 1, 10);
  };
  EXPECT_EQ(padding(Json::object()), 1);
  EXPECT_EQ(padding({{"pad_token_id", 9}}), 9);
  EXPECT_EQ(padding({{"pad_token_id", nullptr}}), std::nullopt);
  EXPECT_THROW(padding({{"pad_token_id", 10}}), ConfigError);
  EXPECT_THROW(padding({{"pad_token_id", -1}}), ConfigError);
  EXPECT_THROW(padding({{"pad_token_id", "0"}}), ConfigError);
  EXPECT_THROW(padding({{"pad_token_id", UINT64_MAX}}), ConfigError);
}

TEST(ConfigReader, AProbabilityLiesBetweenZeroAndOne) {
  const auto dropout = [](const Json& config) {
    return ConfigReader(config, "config.json").probability("dropout", 0.1);
  };
  EXPECT_EQ(dropout(Json::object()), 0.1);
  EXPECT_EQ(dropout({{"dropout", 1}}), 1.0);
  EXPECT_THROW(dropout({{"dropout", 1.5}}), ConfigError);
  EXPECT_THROW(dropout({{"dropout", -0.1}}), ConfigError);
}

TEST(ConfigReader, ModelsThatFitNoComputerAreRefused) {
  const Json config = Json::object();
  const ConfigReader reader(config, "config.json");
  const int64_t large = 0x7fffffff;
  EXPECT_NO_THROW(check_model_sizes(reader, 100, {{250000, 8192}, {16, 16, 3, 1024}}));
  EXPECT_THROW(check_model_sizes(reader, 12, {{8, 8}, {large, large}}), ConfigError);
  EXPECT_THROW(check_model_sizes(reader, 12, {{large, large, large, large}}), ConfigError);
  EXPECT_THROW(check_model_sizes(reader, large, {{8, 8}}), ConfigError);
}

}  // namespace
}  // namespace peft
