// train --init_lora_weights: the settings of the ways in which an adapter can begin.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include "peft/base/json_text.h"
#include "peft/formats/safetensors_file.h"
#include "tests/cli/run_program.h"

namespace peft::cli {
namespace {

namespace fs = std::filesystem;

/// Trains one step and returns the adapter's config.
Json config_after(const std::string& out, const std::string& flags) {
  const ProgramRun done =
      run_peft(train_line(out, "--max_steps 1 --save_strategy no --init_lora_weights " + flags));
  EXPECT_EQ(done.code, 0) << done.talk;
  return read_json_file(scratch() / out / "adapter_config.json");
}

StateDict initial_of(const std::string& out) {
  return formats::SafetensorsFile(scratch() / out / "initial/adapter_model.safetensors").load_all();
}

TEST(Beginnings, SettingsOfEvaReachTheAdapter) {
  const Json config =
      config_after("eva_set",
                   "eva --eva_rho 1 --eva_tau 0.5 --no_eva_use_label_mask --eva_label_mask_value "
                   "-7 --eva_whiten --eva_adjust_scaling_factors false");
  const Json expected = {{"adjust_scaling_factors", false},  // the file's order
                         {"label_mask_value", -7},          {"rho", 1.0},    {"tau", 0.5},
                         {"use_label_mask", false},         {"whiten", true}};
  EXPECT_EQ(config["eva_config"], expected);
  EXPECT_EQ(config["rank_pattern"], Json::object()) << "rho 1 leaves every site its rank";
  const Json usual = config_after("eva_usual", "eva");
  EXPECT_EQ(usual["eva_config"]["rho"], 2.0);
  EXPECT_NE(usual["rank_pattern"], Json::object());
}

TEST(Beginnings, SettingsOfLoftqReachTheAdapter) {
  const Json config = config_after("loftq_8", "loftq --loftq_bits 8 --loftq_iter 3");
  EXPECT_EQ(config["loftq_config"], Json({{"loftq_bits", 8}, {"loftq_iter", 3}}));
  config_after("loftq_4", "loftq");
  const StateDict eight = initial_of("loftq_8"), four = initial_of("loftq_4");
  const std::string key = "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight";
  EXPECT_FALSE(at::allclose(eight.at(key), four.at(key)));
}

TEST(Beginnings, SettingsOfCordaReachTheAdapter) {
  const fs::path covariance = scratch() / "covariance.safetensors";
  const fs::path cache = scratch() / "cache.safetensors";
  const Json config = config_after(
      "corda_set", fmt::format("corda --corda_method kpm --corda_covariance_file {} "
                               "--corda_cache_file {} --corda_use_float16_for_covariance",
                               covariance.string(), cache.string()));
  EXPECT_EQ(config["corda_config"]["corda_method"], "kpm");
  EXPECT_EQ(config["corda_config"]["use_float16_for_covariance"], true);
  EXPECT_EQ(config["corda_config"]["covariance_file"], covariance.string());
  EXPECT_TRUE(fs::exists(covariance));
  EXPECT_TRUE(fs::exists(cache));
}

TEST(Beginnings, SettingsOfLoraGaReachTheAdapter) {
  const Json config = config_after("lora_ga_set",
                                   "lora_ga --lora_ga_direction ArBr --lora_ga_scale gd_scale "
                                   "--lora_ga_stable_gamma 8");
  EXPECT_EQ(config["lora_ga_config"],
            Json({{"direction", "ArBr"}, {"scale", "gd_scale"}, {"stable_gamma", 8}}));
}

TEST(Beginnings, ASettingOfAnotherBeginningIsAMistake) {
  struct Mistake {
    const char *flags, *flag, *wanted, *got;
  };
  for (const Mistake& mistake : {
           Mistake{"--eva_rho 1.5", "--eva_rho", "eva", "true"},
           Mistake{"--init_lora_weights loftq --eva_whiten", "--eva_whiten", "eva", "loftq"},
           Mistake{"--init_lora_weights eva --corda_method kpm", "--corda_method", "corda", "eva"},
           Mistake{"--init_lora_weights pissa --loftq_bits 8", "--loftq_bits", "loftq", "pissa"},
           Mistake{"--init_lora_weights eva --lora_ga_scale unit", "--lora_ga_scale", "lora_ga",
                   "eva"},
       }) {
    const ProgramRun done = run_peft(train_line("mistaken", mistake.flags));
    EXPECT_EQ(done.code, 2) << mistake.flags;
    EXPECT_NE(done.talk.find(fmt::format("{}: expected --init_lora_weights {},", mistake.flag,
                                         mistake.wanted)),
              std::string::npos)
        << done.talk;
    EXPECT_NE(done.talk.find(fmt::format("got --init_lora_weights {}.", mistake.got)),
              std::string::npos)
        << done.talk;
    EXPECT_FALSE(fs::exists(scratch() / "mistaken"));
  }
}

TEST(Beginnings, AValueThatMakesNoSenseIsAMistake) {
  for (const auto& [flags, part] : {
           std::pair("eva --eva_rho 0.5", "rho: expected a number of at least 1"),
           std::pair("eva --eva_tau 2", "tau: expected a number between 0 and 1"),
           std::pair("corda --corda_method mpi", "corda_method"),
           std::pair("loftq --loftq_bits 3", "loftq_bits: expected 4 or 8"),
           std::pair("loftq --loftq_iter 0", "loftq_iter: expected a positive integer"),
           std::pair("lora_ga --lora_ga_direction up", "direction"),
           std::pair("lora_ga --lora_ga_stable_gamma 0", "stable_gamma"),
       }) {
    const ProgramRun done =
        run_peft(train_line("mistaken", std::string("--init_lora_weights ") + flags));
    EXPECT_EQ(done.code, 2) << flags;
    EXPECT_NE(done.talk.find(part), std::string::npos) << done.talk;
  }
}

}  // namespace
}  // namespace peft::cli
