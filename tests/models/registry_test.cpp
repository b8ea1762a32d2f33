#include "peft/models/registry.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "peft/base/error.h"
#include "tests/models/golden_file.h"

namespace peft {
namespace {

TEST(Registry, AnUnknownModelTypeGivesAnErrorThatListsTheKnownOnes) {
  try {
    make_language_model({{"model_type", "unheard"}});
    FAIL() << "expected an UnsupportedError";
  } catch (const UnsupportedError& error) {
    for (const auto& known : known_model_types()) {
      EXPECT_NE(std::string(error.what()).find(known), std::string::npos) << known;
    }
    EXPECT_NE(std::string(error.what()).find("unheard"), std::string::npos);
  }
}

TEST(Registry, AConfigWithoutAModelTypeIsAnError) {
  EXPECT_THROW(make_language_model(Json::object()), ConfigError);
  EXPECT_THROW(make_language_model(Json::array()), ConfigError);
}

TEST(Registry, ModelsAreBuiltInTheWantedDtypeAndFrozen) {
  const auto config = test::GoldenFile::read("models", "qwen2_plain").config;
  const auto model = make_language_model(config, {.dtype = at::kBFloat16});
  for (const auto& parameter : model->parameters()) {
    EXPECT_EQ(parameter.scalar_type(), at::kBFloat16);
    EXPECT_FALSE(parameter.requires_grad());
  }
  EXPECT_EQ(model->config(), config);
}

}  // namespace
}  // namespace peft
