#include "peft/train/schedule.h"

#include <gtest/gtest.h>

#include "peft/base/error.h"
#include "tests/train/golden_file.h"

namespace peft::train {
namespace {

TEST(Schedule, FactorsAreThoseOfTransformers) {
  for (const Json& gold : golden()["schedules"]) {
    const Schedule schedule(parse_schedule(gold["name"].get<std::string>()), gold["total"],
                            gold["warmup"]);
    for (size_t step = 0; step < gold["factors"].size(); ++step) {
      EXPECT_NEAR(schedule.factor(static_cast<int64_t>(step)), gold["factors"][step].get<double>(),
                  1e-12)
          << gold["name"] << " with warm-up " << gold["warmup"] << ", step " << step;
    }
  }
}

TEST(Schedule, AShareOfWarmupIsRoundedUp) {
  EXPECT_EQ(Schedule(ScheduleKind::kLinear, 7, 0.25).warmup_steps(), 2);
  EXPECT_EQ(Schedule(ScheduleKind::kLinear, 7, 3.9).warmup_steps(), 3);
}

TEST(Schedule, AnUnknownNameListsTheKnownOnes) {
  try {
    parse_schedule("cosinus");
    FAIL() << "no error";
  } catch (const ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find("'cosine'"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace peft::train
