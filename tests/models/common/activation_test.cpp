#include "peft/models/common/activation.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <fstream>

#include "peft/base/error.h"
#include "tests/models/golden_file.h"

namespace peft {
namespace {

Activation activation_named(const std::string& name) {
  const Json config = {{"hidden_act", name}};
  return read_activation(ConfigReader(config, "config.json"), "hidden_act", "gelu");
}

TEST(Activation, EveryFunctionGivesPythonsNumbers) {
  std::ifstream stream(PEFT_SOURCE_DIR "/tests/models/common/activations.json");
  const auto golden = Json::parse(stream);
  const auto x = torch::tensor(golden["inputs"].get<std::vector<double>>(), at::kFloat);
  for (const auto& [name, outputs] : golden["outputs"].items()) {
    const auto expected = torch::tensor(outputs.get<std::vector<double>>(), at::kFloat);
    EXPECT_LT(test::relative_error(activation_named(name)(x), expected), 1e-6) << name;
  }
}

TEST(Activation, AConfigWithoutOneGivesTheDefault) {
  const Json config = Json::object();
  const auto found = read_activation(ConfigReader(config, "config.json"), "hidden_act", "relu");
  EXPECT_EQ(found(at::full({}, -2.0)).item<double>(), 0.0);
}

TEST(Activation, AnUnknownOneIsRefused) {
  EXPECT_THROW(activation_named("prelu"), UnsupportedError);
  EXPECT_THROW(activation_named("Gelu"), UnsupportedError);
}

}  // namespace
}  // namespace peft
