#include "peft/hub/settings.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "peft/hub/login.h"
#include "tests/hub/support.h"

namespace peft::hub {
namespace {

Settings settings_of(const std::map<std::string, std::string>& variables) {
  return settings_from([&](const char* name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

TEST(HubSettings, DefaultsLieInTheHomeFolder) {
  const Settings settings = settings_of({{"HOME", "/home/me"}});
  EXPECT_EQ(settings.endpoint, "https://huggingface.co");
  EXPECT_EQ(settings.cache, "/home/me/.cache/huggingface/hub");
  EXPECT_EQ(settings.token_path, "/home/me/.cache/huggingface/token");
  EXPECT_TRUE(settings.token.empty());
  EXPECT_FALSE(settings.offline);
  EXPECT_EQ(settings.download_timeout, 10);
}

TEST(HubSettings, VariablesInTheirOrder) {
  EXPECT_EQ(settings_of({{"XDG_CACHE_HOME", "/x"}}).cache, "/x/huggingface/hub");
  EXPECT_EQ(settings_of({{"XDG_CACHE_HOME", "/x"}, {"HF_HOME", "/h"}}).cache, "/h/hub");
  EXPECT_EQ(settings_of({{"HF_HOME", "/h"}, {"HUGGINGFACE_HUB_CACHE", "/old"}}).cache, "/old");
  EXPECT_EQ(settings_of({{"HUGGINGFACE_HUB_CACHE", "/old"}, {"HF_HUB_CACHE", "/new"}}).cache,
            "/new");
  EXPECT_EQ(settings_of({{"HF_HOME", "~/h"}, {"HOME", "/home/me"}}).cache, "/home/me/h/hub");
  EXPECT_EQ(settings_of({{"HF_HOME", "${SCRATCH}/$NONE"}, {"SCRATCH", "/s"}}).cache,
            "/s/$NONE/hub");
  EXPECT_EQ(settings_of({{"HF_ENDPOINT", "http://mirror:8080//"}}).endpoint, "http://mirror:8080");
  EXPECT_EQ(settings_of({{"HF_TOKEN", " abc\n"}}).token.reveal(), "abc");
  EXPECT_EQ(settings_of({{"HUGGING_FACE_HUB_TOKEN", "old"}}).token.reveal(), "old");
  EXPECT_TRUE(
      settings_of({{"HF_TOKEN", "abc"}, {"HF_HUB_DISABLE_IMPLICIT_TOKEN", "1"}}).token.empty());
  EXPECT_TRUE(settings_of({{"HF_HUB_OFFLINE", "yes"}}).offline);
  EXPECT_TRUE(settings_of({{"TRANSFORMERS_OFFLINE", "1"}}).offline);
  EXPECT_FALSE(settings_of({{"HF_HUB_OFFLINE", "0"}}).offline);
  EXPECT_FALSE(settings_of({{"HF_HUB_DISABLE_SYMLINKS", "ON"}}).symlinks);
  EXPECT_EQ(settings_of({{"HF_HUB_DOWNLOAD_TIMEOUT", "30"}}).download_timeout, 30);
}

TEST(HubSettings, NonsenseIsAnError) {
  EXPECT_THROW(settings_of({{"HF_HUB_ETAG_TIMEOUT", "soon"}}), ConfigError);
  EXPECT_THROW(settings_of({{"HF_ENDPOINT", "huggingface.co"}}), ConfigError);
}

TEST_F(HubTest, ASavedTokenIsFoundAgainAndPrivate) {
  write_file_atomically(scratch / "stored_tokens",
                        "[work]\nhf_token = hf_old\n\n[laptop]\nhf_token = hf_older\nx = y\n\n");
  save_token(settings, Token("hf_new"), "laptop");
  EXPECT_EQ(read_text_file(scratch / "token"), "hf_new");
  EXPECT_EQ(read_text_file(scratch / "stored_tokens"),
            "[work]\nhf_token = hf_old\n\n[laptop]\nhf_token = hf_new\n\n");
  struct stat info = {};
  ASSERT_EQ(::stat((scratch / "token").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_EQ(settings_of({{"HF_TOKEN_PATH", (scratch / "token").string()}}).token.reveal(),
            "hf_new");
}

TEST_F(HubTest, WhoamiTellsTheAccount) {
  Client hub_client = client();
  const Account account = whoami(hub_client);
  EXPECT_EQ(account.name, "tester");
  EXPECT_EQ(account.full_name, "Test Er");
  EXPECT_THAT(account.organisations, testing::ElementsAre("org"));
  EXPECT_EQ(account.token_name, "laptop");
  EXPECT_EQ(account.token_role, "write");
}

TEST_F(HubTest, WhoamiWithoutOrWithAWrongToken) {
  settings.token = Token();
  Client nobody = client();
  EXPECT_THAT(message_of<ConfigError>([&] { whoami(nobody); }), testing::HasSubstr("peft login"));
  settings.token = Token("hf_wrongwrongwrong");
  Client stranger = client();
  const std::string message = message_of<AccessError>([&] { whoami(stranger); });
  EXPECT_THAT(message, testing::HasSubstr("401"));
  EXPECT_THAT(message, testing::Not(testing::HasSubstr("hf_wrong")));
}

}  // namespace
}  // namespace peft::hub
