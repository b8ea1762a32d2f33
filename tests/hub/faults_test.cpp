#include <gmock/gmock.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "peft/hub/download.h"
#include "tests/hub/support.h"

namespace peft::hub {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

TEST_F(HubTest, ConnectionsCutEvery64KiBAreResumed) {
  hub.set_fault([](const ServerRequest&, bool on_storage, Reply& reply) {
    if (on_storage) reply.cut_after = 65536;
  });
  Client hub_client = client();
  expect_whole(snapshot_download(hub_client, kRepo), files);
  EXPECT_EQ(requests_of("GET", "/blob/"), 5u);  // 300,000 bytes
  EXPECT_TRUE(waits.empty());                   // each attempt brought something
}

TEST_F(HubTest, AHostWithoutRangesIsAskedFromTheStart) {
  int answers = 0;
  hub.set_fault([&](const ServerRequest&, bool on_storage, Reply& reply) {
    if (!on_storage) return;
    if (answers++ == 0) {
      reply.cut_after = 100'000;
    } else {
      reply = {.body = files.at("model.safetensors").content};
    }
  });
  Client hub_client = client();
  expect_whole(snapshot_download(hub_client, kRepo), files);
}

TEST_F(HubTest, AConnectionThatBringsNothingEndsInOneError) {
  hub.set_fault([](const ServerRequest&, bool on_storage, Reply& reply) {
    if (on_storage) reply.cut_after = 0;
  });
  Client hub_client = client();
  EXPECT_THAT(message_of<NetworkError>([&] { snapshot_download(hub_client, kRepo); }),
              HasSubstr("try again"));
  EXPECT_EQ(requests_of("GET", "/blob/"), 5u);
  EXPECT_THAT(waits, testing::ElementsAre(1, 2, 4, 8));
  expect_no_trace_of("model.safetensors");
}

TEST_F(HubTest, AStalledTransferIsCutAndResumed) {
  int answers = 0;
  hub.set_fault([&](const ServerRequest&, bool on_storage, Reply& reply) {
    if (on_storage && answers++ == 0) reply.stall_after = 70'000;
  });
  Client hub_client = client();
  expect_whole(snapshot_download(hub_client, kRepo), files);
  EXPECT_EQ(requests_of("GET", "/blob/"), 2u);
}

TEST_F(HubTest, AWrongHashIsNeverUsed) {
  hub.set_fault([](const ServerRequest&, bool on_storage, Reply& reply) {
    if (on_storage && !reply.body.empty()) reply.body[17] ^= 1;
  });
  Client hub_client = client();
  EXPECT_THAT(message_of<FormatError>([&] { snapshot_download(hub_client, kRepo); }),
              HasSubstr("content is damaged: expected hash"));
  EXPECT_EQ(requests_of("GET", "/blob/"), 2u);
  expect_no_trace_of("model.safetensors");
  hub.set_fault({});
  expect_whole(snapshot_download(hub_client, kRepo), files);
}

TEST_F(HubTest, ASmallFileIsCheckedToo) {
  hub.set_fault([](const ServerRequest& request, bool, Reply& reply) {
    if (request.method == "GET" && request.path.ends_with("config.json")) reply.body[2] = 'X';
  });
  Client hub_client = client();
  EXPECT_THROW(hf_hub_download(hub_client, kRepo, "config.json"), FormatError);
  expect_no_trace_of("config.json");
}

TEST_F(HubTest, ADamagedPartialFileIsThrownAway) {
  const fs::path blobs = folder() / "blobs";
  Client hub_client = client();
  const fs::path blob = fs::canonical(snapshot_download(hub_client, kRepo) / "model.safetensors");
  for (const size_t size : {1000, 299'999, 300'000, 400'000}) {
    fs::remove(blob);
    write_file_atomically(blob.string() + ".incomplete", std::string(size, 'x'));
    expect_whole(snapshot_download(hub_client, kRepo), files);
    EXPECT_FALSE(fs::exists(blob.string() + ".incomplete")) << size;
  }
}

TEST_F(HubTest, AWrongLength) {
  // More than was announced, and less.
  for (const int difference : {1000, -1000}) {
    hub.set_fault([&](const ServerRequest& request, bool, Reply& reply) {
      if (request.method == "HEAD" && reply.headers.contains("X-Linked-Size")) {
        reply.headers["X-Linked-Size"] = std::to_string(300'000 - difference);
      }
    });
    Client hub_client = client();
    EXPECT_THROW(snapshot_download(hub_client, kRepo), Error);
    expect_no_trace_of("model.safetensors");
    fs::remove_all(settings.cache);
  }
  // A Content-Length that is not the body's.
  hub.set_fault([](const ServerRequest&, bool on_storage, Reply& reply) {
    if (on_storage) reply.length = static_cast<int64_t>(reply.body.size()) + 500;
  });
  Client hub_client = client();
  expect_whole(snapshot_download(hub_client, kRepo), files);
}

TEST_F(HubTest, NobodyWithoutARightToken) {
  hub.make_private(kRepo);
  settings.token = Token();
  Client nobody = client();
  EXPECT_THAT(message_of<NotFoundError>([&] { snapshot_download(nobody, kRepo); }),
              HasSubstr("peft login"));
  hub.set_fault(
      [](const ServerRequest&, bool, Reply& reply) { reply.headers.erase("X-Error-Code"); });
  const std::string message = message_of<AccessError>([&] { snapshot_download(nobody, kRepo); });
  EXPECT_THAT(message, HasSubstr("401"));
  hub.set_fault({});
  settings.token = Token(kTestToken);
  Client member = client();
  expect_whole(snapshot_download(member, kRepo), files);
}

TEST_F(HubTest, AGatedRepositoryNamesThePage) {
  hub.make_gated(kRepo);
  settings.token = Token();
  Client nobody = client();
  const std::string message = message_of<AccessError>([&] { snapshot_download(nobody, kRepo); });
  EXPECT_THAT(message, HasSubstr("gated"));
  EXPECT_THAT(message, HasSubstr("403"));
}

TEST_F(HubTest, WhatIsNotThere) {
  Client hub_client = client();
  EXPECT_THAT(message_of<NotFoundError>([&] { snapshot_download(hub_client, "org/other"); }),
              HasSubstr("no such repository"));
  EXPECT_THAT(
      message_of<NotFoundError>([&] { snapshot_download(hub_client, kRepo, {.revision = "v9"}); }),
      HasSubstr("no such revision"));
  EXPECT_EQ(waits.size(), 0u);
}

TEST_F(HubTest, TooManyRequestsAreWaitedForAsLongAsAsked) {
  int refusals = 2;
  hub.set_fault([&](const ServerRequest&, bool, Reply& reply) {
    if (refusals-- > 0) reply = {.status = 429, .headers = {{"Retry-After", "7"}}};
  });
  Client hub_client = client();
  expect_whole(snapshot_download(hub_client, kRepo), files);
  EXPECT_THAT(waits, testing::ElementsAre(7, 7));
}

TEST_F(HubTest, TheStorageMayAskToWaitToo) {
  int refusals = 1;
  hub.set_fault([&](const ServerRequest&, bool on_storage, Reply& reply) {
    if (on_storage && refusals-- > 0) reply = {.status = 429, .headers = {{"Retry-After", "3"}}};
  });
  Client hub_client = client();
  expect_whole(snapshot_download(hub_client, kRepo), files);
  EXPECT_THAT(waits, testing::ElementsAre(3));
}

TEST_F(HubTest, AnEndlessWaitIsAnErrorAtOnce) {
  hub.set_fault([](const ServerRequest&, bool, Reply& reply) {
    reply = {.status = 429, .headers = {{"Retry-After", "86400"}}};
  });
  Client hub_client = client();
  EXPECT_THAT(message_of<NetworkError>([&] { snapshot_download(hub_client, kRepo); }),
              HasSubstr("Try again in 86400 s"));
  EXPECT_TRUE(waits.empty());
}

TEST_F(HubTest, ServerErrorsAreAskedAgain) {
  int failures = 3;
  hub.set_fault([&](const ServerRequest&, bool, Reply& reply) {
    if (failures-- > 0) reply = {.status = 503};
  });
  Client hub_client = client();
  expect_whole(snapshot_download(hub_client, kRepo), files);
  EXPECT_THAT(waits, testing::ElementsAre(1, 2, 4));
  fs::remove_all(settings.cache);
  failures = 1000;
  EXPECT_THAT(message_of<NetworkError>([&] { snapshot_download(hub_client, kRepo); }),
              HasSubstr("503"));
}

TEST_F(HubTest, TheTokenGoesToTheEndpointAlone) {
  Client hub_client = client();
  snapshot_download(hub_client, kRepo);
  size_t at_storage = 0;
  for (const auto& one : hub.seen()) {
    const bool has_token = !one.request.header("authorization").empty();
    EXPECT_EQ(has_token, !one.on_storage) << one.request.path;
    at_storage += one.on_storage ? 1 : 0;
  }
  EXPECT_GT(at_storage, 0u);
}

TEST_F(HubTest, ApiRedirectsToAnotherHostLoseTheToken) {
  const std::string elsewhere =
      "http://localhost:" + hub.endpoint().substr(hub.endpoint().rfind(':') + 1);
  hub.set_fault([&](const ServerRequest& request, bool, Reply& reply) {
    if (request.path.find("/revision/") != std::string::npos &&
        request.header("host").rfind("127.", 0) == 0) {
      reply = {.status = 302, .headers = {{"Location", elsewhere + request.path}}};
    }
  });
  Client hub_client = client();
  expect_whole(snapshot_download(hub_client, kRepo), files);
  for (const auto& one : hub.seen()) {
    if (one.request.header("host").rfind("localhost", 0) == 0) {
      EXPECT_EQ(one.request.header("authorization"), "") << one.request.path;
    }
  }
}

TEST_F(HubTest, EndlessRedirectsEnd) {
  hub.set_fault([&](const ServerRequest& request, bool, Reply& reply) {
    reply = {.status = 302, .headers = {{"Location", request.path}}};
  });
  Client hub_client = client();
  EXPECT_THAT(message_of<NetworkError>([&] { snapshot_download(hub_client, kRepo); }),
              HasSubstr("redirects"));
}

TEST_F(HubTest, ErrorsNeverShowTokensOrSignatures) {
  hub.set_fault([](const ServerRequest&, bool on_storage, Reply& reply) {
    if (on_storage) reply = {.status = 403};
  });
  Client hub_client = client();
  const std::string message =
      message_of<AccessError>([&] { snapshot_download(hub_client, kRepo); });
  EXPECT_THAT(message, Not(HasSubstr("hf_test")));
  EXPECT_THAT(message, Not(HasSubstr("signature")));
}

TEST_F(HubTest, AHostThatIsNoHub) {
  Client hub_client = client();
  hub.set_fault([](const ServerRequest&, bool, Reply& reply) { reply = {.body = "<html>"}; });
  EXPECT_THROW(snapshot_download(hub_client, kRepo), FormatError);
  EXPECT_THAT(message_of<FormatError>([&] { hf_hub_download(hub_client, kRepo, "config.json"); }),
              HasSubstr("HF_ENDPOINT"));
}

TEST_F(HubTest, HostileNamesWriteNothing) {
  Client hub_client = client();
  hub.commit("org/evil", {{"../../../evil.txt", {"x", false}}});
  EXPECT_THAT(message_of<FormatError>([&] { snapshot_download(hub_client, "org/evil"); }),
              HasSubstr("inside the repository"));
  hub.set_fault([](const ServerRequest& request, bool, Reply& reply) {
    if (request.method == "HEAD") reply.headers["ETag"] = "\"../../evil\"";
  });
  EXPECT_THROW(hf_hub_download(hub_client, kRepo, "config.json"), FormatError);
  hub.set_fault([](const ServerRequest& request, bool, Reply& reply) {
    if (request.method == "HEAD") reply.headers["X-Repo-Commit"] = "../../../evil";
  });
  EXPECT_THROW(hf_hub_download(hub_client, kRepo, "config.json"), FormatError);
  EXPECT_FALSE(fs::exists(scratch / "evil.txt"));
  EXPECT_FALSE(fs::exists(scratch / "evil"));
}

TEST_F(HubTest, ADiskWithoutRoomIsToldBeforeAByteComes) {
  hub.set_fault([](const ServerRequest& request, bool, Reply& reply) {
    if (request.method == "HEAD" && reply.headers.contains("X-Linked-Size")) {
      reply.headers["X-Linked-Size"] = "1000000000000000000";
    }
  });
  Client hub_client = client();
  EXPECT_THAT(message_of<IoError>([&] { snapshot_download(hub_client, kRepo); }),
              HasSubstr("the disk is too full"));
  EXPECT_EQ(requests_of("GET", "/blob/"), 0u);
}

TEST_F(HubTest, ADiskThatFillsUpWhileTheBytesCome) {
  // A limit on the size of files is what a test can have of a full disk.
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit = {.rlim_cur = 150'000, .rlim_max = 150'000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    int status = 1;
    try {
      Client hub_client(settings);
      snapshot_download(hub_client, kRepo);
    } catch (const IoError& error) {
      status = std::string(error.what()).find("Free some space") != std::string::npos ? 0 : 2;
    } catch (const std::exception&) {
      status = 3;
    }
    ::_exit(status);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  expect_no_trace_of("model.safetensors");
  for (const auto& entry : fs::directory_iterator(folder() / "blobs")) {
    EXPECT_NE(entry.path().extension(), ".incomplete");  // the disk is not kept full
  }
  Client hub_client = client();
  expect_whole(snapshot_download(hub_client, kRepo), files);
}

}  // namespace
}  // namespace peft::hub
