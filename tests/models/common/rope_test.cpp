#include "peft/models/common/rope.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "peft/base/error.h"
#include "tests/models/golden_file.h"

namespace peft {
namespace {

using test::relative_error;

RopeParameters parse(const Json& config) {
  return RopeParameters::from_config(ConfigReader(config, "config.json"), 64);
}

TEST(Rope, BothSpellingsGiveTheSameParameters) {
  const auto old =
      parse({{"rope_theta", 500.0}, {"rope_scaling", {{"type", "linear"}, {"factor", 4.0}}}});
  const auto fresh = parse(
      {{"rope_parameters", {{"rope_type", "linear"}, {"factor", 4.0}, {"rope_theta", 500.0}}}});
  EXPECT_EQ(old.rope_type, "linear");
  EXPECT_EQ(old.rope_type, fresh.rope_type);
  EXPECT_EQ(old.rope_theta, fresh.rope_theta);
  EXPECT_EQ(old.factor, fresh.factor);
}

TEST(Rope, SilenceMeansTheDefaultType) {
  EXPECT_EQ(parse(Json::object()).rope_type, "default");
  EXPECT_EQ(parse({{"rope_scaling", nullptr}}).rope_theta, 10000.0);
}

TEST(Rope, AnUnknownTypeGivesAnErrorThatListsTheKnownOnes) {
  try {
    parse({{"rope_scaling", {{"rope_type", "longrope"}, {"factor", 4.0}}}});
    FAIL() << "expected an UnsupportedError";
  } catch (const UnsupportedError& error) {
    for (const auto* known : {"default", "linear", "dynamic", "yarn", "llama3", "longrope"}) {
      EXPECT_NE(std::string(error.what()).find(known), std::string::npos) << known;
    }
  }
}

TEST(Rope, AMissingOrWrongFactorIsAnError) {
  EXPECT_THROW(parse({{"rope_scaling", {{"rope_type", "linear"}}}}), ConfigError);
  EXPECT_THROW(parse({{"rope_scaling", {{"rope_type", "linear"}, {"factor", "big"}}}}),
               ConfigError);
}

TEST(Rope, RotationAndItsGradientEqualTheFormula) {
  const RotaryEmbedding rotary(RopeParameters{}, 10);
  const auto angles = rotary.angles(at::arange(6).unsqueeze(0));
  const auto x = at::randn({2, 6, 3, 10}).requires_grad_(true);
  const auto copy = x.detach().clone().requires_grad_(true);
  const auto cos = at::cat({angles.cos, angles.cos}, -1).unsqueeze(2);
  const auto sin = at::cat({angles.sin, angles.sin}, -1).unsqueeze(2);
  const auto half = at::cat({-copy.narrow(-1, 5, 5), copy.narrow(-1, 0, 5)}, -1);
  const auto expected = (copy * cos + half * sin).transpose(1, 2);
  const auto got = apply_rotary(x, angles);
  EXPECT_LT(relative_error(got, expected), 1e-6);
  const auto probe = at::randn({2, 3, 6, 10});
  (got * probe).sum().backward();
  (expected * probe).sum().backward();
  EXPECT_LT(relative_error(x.grad(), copy.grad()), 1e-6);
}

TEST(Rope, EachRowMayHaveItsOwnPositions) {
  const RotaryEmbedding rotary(RopeParameters{}, 8);
  const auto x = at::randn({2, 4, 1, 8});
  const auto positions = at::stack({at::arange(4), at::arange(4) + 9});
  const auto together = apply_rotary(x, rotary.angles(positions));
  const auto alone = apply_rotary(x.narrow(0, 1, 1), rotary.angles(positions.narrow(0, 1, 1)));
  EXPECT_TRUE(at::equal(together.narrow(0, 1, 1), alone));
}

}  // namespace
}  // namespace peft
