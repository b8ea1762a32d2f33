#include <fmt/core.h>
#include <gmock/gmock.h>

#include <fstream>

#include "peft/base/file.h"
#include "tests/cli/run_program.h"
#include "tests/hub/fake_hub.h"

namespace peft::cli {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

/// A Hub with the tiny model, and the program set up to use it.
class HubCommands : public testing::Test {
 protected:
  HubCommands() {
    hub::FakeHub::Files files;
    for (const auto& entry : fs::directory_iterator(tiny_talker())) {
      const std::string name = entry.path().filename().string();
      files[name] = {read_text_file(entry.path()), name.ends_with(".safetensors")};
    }
    commit = hub.commit("org/tiny", files);
  }

  ProgramRun run(const std::string& arguments, const std::string& more = "") {
    return run_peft(
        arguments, fmt::format("no_proxy=127.0.0.1,localhost HF_ENDPOINT={} HF_HOME={} HF_TOKEN={} "
                               "HF_HUB_OFFLINE=0 {}",
                               hub.endpoint(), home.string(), hub::kTestToken, more));
  }

  hub::FakeHub hub;
  std::string commit;
  const fs::path home = scratch() / "hf_home";
};

TEST_F(HubCommands, PullPrintsTheSnapshotAndTalksOfProgress) {
  const ProgramRun done = run("pull org/tiny");
  EXPECT_EQ(done.code, 0) << done.talk;
  EXPECT_EQ(done.out, (home / "hub/models--org--tiny/snapshots" / commit).string() + "\n");
  EXPECT_THAT(done.talk, HasSubstr("pull"));
  EXPECT_THAT(done.talk, HasSubstr("100%"));
  const ProgramRun quiet = run("pull org/tiny");
  EXPECT_EQ(quiet.out, done.out);
  EXPECT_EQ(quiet.talk, "");
}

TEST_F(HubCommands, PullOfNothingIsOneClearError) {
  const ProgramRun done = run("pull org/none");
  EXPECT_EQ(done.code, 1);
  EXPECT_EQ(done.out, "");
  EXPECT_THAT(done.talk, HasSubstr("no such repository"));
  EXPECT_EQ(run("pull").code, 2);
  EXPECT_EQ(run("pull a/b/c").code, 1);
}

TEST_F(HubCommands, AModelAndAnAdapterByName) {
  const ProgramRun local =
      run_peft(fmt::format("score --model_name_or_path {} --input {}", tiny_talker().string(),
                           token_rows("hub_rows.jsonl", 2).string()));
  ASSERT_EQ(local.code, 0) << local.talk;
  const std::string score =
      "score --model_name_or_path org/tiny --input " + token_rows("hub_rows.jsonl", 2).string();
  const ProgramRun remote = run(score);
  EXPECT_EQ(remote.code, 0) << remote.talk;
  EXPECT_EQ(remote.out, local.out);

  const std::string trained = (scratch() / "hub_adapter").string();
  const ProgramRun train = run(train_line("hub_adapter", "--max_steps 2"));
  ASSERT_EQ(train.code, 0) << train.talk;
  ASSERT_EQ(run("push " + trained + " org/lora --exclude 'checkpoint-*'").code, 0);
  const ProgramRun with_local = run(score + " --adapter " + trained);
  ASSERT_EQ(with_local.code, 0) << with_local.talk;
  const ProgramRun with_remote = run(score + " --adapter org/lora");
  EXPECT_EQ(with_remote.code, 0) << with_remote.talk;
  EXPECT_EQ(with_remote.out, with_local.out);
  EXPECT_NE(with_remote.out, remote.out);
  const ProgramRun offline = run(score + " --adapter org/lora", "HF_HUB_OFFLINE=1");
  EXPECT_EQ(offline.out, with_local.out) << offline.talk;
  EXPECT_EQ(run("tokenize --model_name_or_path org/tiny --text abc").code, 0);
}

TEST_F(HubCommands, PushPrintsTheCommit) {
  const fs::path source = scratch() / "to_push";
  fs::create_directories(source);
  std::ofstream(source / "weights.safetensors") << std::string(100'000, 'x');
  const ProgramRun done = run("push " + source.string() + " org/pushed");
  EXPECT_EQ(done.code, 0) << done.talk;
  EXPECT_THAT(done.out, HasSubstr("/org/pushed/commit/"));
  EXPECT_EQ(hub.files("org/pushed")["weights.safetensors"].content.size(), 100'000u);
  const ProgramRun proposed = run("push " + source.string() + " org/pushed --create_pr");
  EXPECT_THAT(proposed.talk, HasSubstr("/org/pushed/discussions/1"));
  EXPECT_THAT(done.out + done.talk + proposed.out + proposed.talk, Not(HasSubstr(hub::kTestToken)));
  EXPECT_EQ(run("push " + source.string()).code, 2);
}

TEST_F(HubCommands, LoginAndWhoami) {
  const std::string home_only = "HF_TOKEN= ";
  EXPECT_EQ(run("whoami", home_only).code, 1);
  const ProgramRun wrong = run_peft("login", fmt::format("echo hf_wrongwrong | HF_ENDPOINT={} "
                                                         "HF_HOME={}",
                                                         hub.endpoint(), home.string()));
  EXPECT_EQ(wrong.code, 1);
  EXPECT_THAT(wrong.talk, Not(HasSubstr("hf_wrong")));
  EXPECT_EQ(run("whoami", home_only).code, 1);  // nothing was saved
  const ProgramRun login =
      run_peft("login", fmt::format("echo {} | HF_ENDPOINT={} HF_HOME={}", hub::kTestToken,
                                    hub.endpoint(), home.string()));
  EXPECT_EQ(login.code, 0) << login.talk;
  EXPECT_THAT(login.out + login.talk, Not(HasSubstr(hub::kTestToken)));
  const ProgramRun who = run("whoami", home_only);
  EXPECT_EQ(who.out, "tester\n") << who.talk;
  EXPECT_THAT(run("whoami --json", home_only).out, HasSubstr("\"name\": \"tester\""));
}

}  // namespace
}  // namespace peft::cli
