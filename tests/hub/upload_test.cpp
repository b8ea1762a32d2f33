#include "peft/hub/upload.h"

#include <gmock/gmock.h>

#include "peft/hub/download.h"
#include "tests/hub/support.h"

namespace peft::hub {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class UploadTest : public HubTest {
 protected:
  UploadTest() {
    put("adapter_config.json", "{\"r\": 8}\n");
    put("adapter_model.safetensors", weights);
    put("empty.bin", "");
    put("notes/a b.md", "text");
    put(".git/config", "private");
    put(".cache/huggingface/x", "private");
    put("scratch.ignored", "not wanted");
  }

  void put(const std::string& path, const std::string& text) {
    ensure_folder((source / path).parent_path());
    write_file_atomically(source / path, text);
  }

  const fs::path source = scratch / "adapter";
  const std::string weights = std::string(250'000, 'w') + "end";
};

TEST_F(UploadTest, AllFilesInOneCommit) {
  Client hub_client = client();
  const Commit done = push_folder(hub_client, source, "org/new", {.commit_message = "First"});
  EXPECT_EQ(done.oid.size(), 40u);
  EXPECT_THAT(done.url, HasSubstr("/org/new/commit/" + done.oid));
  EXPECT_EQ(done.pull_request_url, "");
  auto now = hub.files("org/new");
  EXPECT_EQ(now.size(), 5u);  // with .gitattributes
  EXPECT_EQ(now["adapter_config.json"].content, "{\"r\": 8}\n");
  EXPECT_FALSE(now["adapter_config.json"].large);
  EXPECT_EQ(now["adapter_model.safetensors"].content, weights);
  EXPECT_TRUE(now["adapter_model.safetensors"].large);
  EXPECT_EQ(now["empty.bin"].content, "");
  EXPECT_FALSE(now["empty.bin"].large);
  EXPECT_EQ(now["notes/a b.md"].content, "text");
  EXPECT_EQ(requests_of("POST", "/commit/"), 1u);
  EXPECT_EQ(read_text_file(snapshot_download(hub_client, "org/new") / "adapter_model.safetensors"),
            weights);
}

TEST_F(UploadTest, WhatTheStorageHasIsNotSentAgain) {
  Client hub_client = client();
  push_folder(hub_client, source, "org/new");
  hub.forget_seen();
  push_folder(hub_client, source, "org/new");
  EXPECT_EQ(requests_of("PUT", ""), 0u);
}

TEST_F(UploadTest, LargeFilesInParts) {
  hub.set_part_size(100'000);
  Client hub_client = client();
  push_folder(hub_client, source, "org/new");
  EXPECT_EQ(requests_of("PUT", "/part/"), 3u);
  EXPECT_EQ(hub.files("org/new")["adapter_model.safetensors"].content, weights);
}

TEST_F(UploadTest, APullRequestLeavesTheBranch) {
  Client hub_client = client();
  const Commit done = push_folder(hub_client, source, kRepo, {.create_pr = true});
  EXPECT_THAT(done.pull_request_url, HasSubstr("/discussions/1"));
  EXPECT_EQ(hub.files(kRepo).size(), files.size());
  EXPECT_TRUE(hub.files(kRepo, "refs/pr/1").contains("adapter_config.json"));
}

TEST_F(UploadTest, ABranchIsMadeWhereAbsent) {
  Client hub_client = client();
  for (int i = 0; i < 2; ++i) push_folder(hub_client, source, kRepo, {.revision = "exp/1"});
  EXPECT_TRUE(hub.files(kRepo, "exp/1").contains("adapter_config.json"));
  EXPECT_FALSE(hub.files(kRepo).contains("adapter_config.json"));
}

TEST_F(UploadTest, FolderInTheRepositoryAndPatterns) {
  Client hub_client = client();
  push_folder(hub_client, source, kRepo,
              {.path_in_repo = "en/v1", .patterns = {.include = {"*.json"}}});
  auto now = hub.files(kRepo);
  EXPECT_TRUE(now.contains("en/v1/adapter_config.json"));
  EXPECT_EQ(now.size(), files.size() + 1);
}

TEST_F(UploadTest, APrivateRepositoryStaysPrivate) {
  Client hub_client = client();
  push_folder(hub_client, source, "org/secret", {.is_private = true});
  settings.token = Token();
  Client nobody = client();
  EXPECT_THROW(snapshot_download(nobody, "org/secret"), NotFoundError);
}

TEST_F(UploadTest, ProgressOverTheLargeFiles) {
  uint64_t last = 0;
  Client hub_client = client();
  push_folder(hub_client, source, "org/new", {.progress = [&](const Progress& progress) {
                EXPECT_EQ(progress.total, weights.size());
                last = progress.done;
              }});
  EXPECT_EQ(last, weights.size());
}

TEST_F(UploadTest, TheStorageMayFailForAWhile) {
  int failures = 2;
  hub.set_fault([&](const ServerRequest& request, bool, Reply& reply) {
    if (request.method == "PUT" && failures-- > 0) reply = {.status = 500};
  });
  Client hub_client = client();
  push_folder(hub_client, source, "org/new");
  EXPECT_EQ(hub.files("org/new")["adapter_model.safetensors"].content, weights);
  EXPECT_THAT(waits, testing::ElementsAre(1, 2));
}

TEST_F(UploadTest, AFailedUploadMakesNoCommit) {
  hub.set_fault([](const ServerRequest& request, bool, Reply& reply) {
    if (request.method == "PUT") reply = {.status = 403};
  });
  Client hub_client = client();
  EXPECT_THROW(push_folder(hub_client, source, kRepo), AccessError);
  EXPECT_EQ(hub.files(kRepo).size(), files.size());
  EXPECT_EQ(requests_of("POST", "/commit/"), 0u);
}

TEST_F(UploadTest, ACommitThatFailedIsNotSentTwice) {
  hub.set_fault([](const ServerRequest& request, bool, Reply& reply) {
    if (request.path.find("/commit/") != std::string::npos) reply = {.status = 500};
  });
  Client hub_client = client();
  EXPECT_THROW(push_folder(hub_client, source, kRepo), NetworkError);
  EXPECT_EQ(requests_of("POST", "/commit/"), 1u);
}

TEST_F(UploadTest, TheTokenStaysAtTheEndpoint) {
  hub.set_part_size(100'000);
  Client hub_client = client();
  push_folder(hub_client, source, "org/new");
  for (const auto& one : hub.seen()) {
    EXPECT_EQ(one.request.header("authorization").empty(), one.on_storage) << one.request.path;
  }
}

TEST_F(UploadTest, WhatAFunctionSavesIsUploadedAndGone) {
  Client hub_client = client();
  fs::path used;
  push_saved(hub_client, "org/saved", {}, [&](const fs::path& folder) {
    used = folder;
    write_file_atomically(folder / "adapter_config.json", "{}");
  });
  EXPECT_EQ(hub.files("org/saved")["adapter_config.json"].content, "{}");
  EXPECT_FALSE(fs::exists(used));
  const auto failing = [&](const fs::path& folder) {
    used = folder;
    throw ConfigError("no");
  };
  EXPECT_THROW(push_saved(hub_client, "org/saved", {}, failing), ConfigError);
  EXPECT_FALSE(fs::exists(used));
}

TEST_F(UploadTest, WithoutATokenOrFiles) {
  settings.token = Token();
  Client nobody = client();
  EXPECT_THAT(message_of<ConfigError>([&] { push_folder(nobody, source, kRepo); }),
              HasSubstr("peft login"));
  EXPECT_TRUE(hub.seen().empty());
  settings.token = Token("hf_wrongwrong");
  Client stranger = client();
  EXPECT_THROW(push_folder(stranger, source, "org/new"), AccessError);
  settings.token = Token(kTestToken);
  Client hub_client = client();
  EXPECT_THROW(push_folder(hub_client, scratch / "none", kRepo), NotFoundError);
  ensure_folder(scratch / "hollow");
  EXPECT_THROW(push_folder(hub_client, scratch / "hollow", kRepo), ConfigError);
  EXPECT_THROW(push_folder(hub_client, source, "a/b/c"), ConfigError);
}

TEST_F(UploadTest, InstructionsThatAreNoneAreRefused) {
  Client hub_client = client();
  for (const char* answer : {"[]", "{}", R"({"objects": [{}]})", R"({"objects": [{"oid": "x"}]})",
                             R"({"objects": 3})", R"({"objects": []})"}) {
    hub.set_fault([&](const ServerRequest& request, bool, Reply& reply) {
      if (request.path.ends_with("/batch")) reply = {.body = answer};
    });
    EXPECT_THROW(push_folder(hub_client, source, kRepo), FormatError) << answer;
  }
  hub.set_fault([](const ServerRequest& request, bool, Reply& reply) {
    if (request.path.find("/preupload/") != std::string::npos) reply = {.body = "{\"files\": []}"};
  });
  EXPECT_THROW(push_folder(hub_client, source, kRepo), FormatError);
}

}  // namespace
}  // namespace peft::hub
