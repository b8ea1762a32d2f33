#include "peft/hub/download.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <memory>
#include <thread>
#include <utility>

#include "peft/base/error.h"
#include "peft/base/warnings.h"
#include "peft/hub/cache.h"
#include "peft/hub/file_lock.h"
#include "tests/hub/support.h"

namespace peft::hub {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

TEST_F(HubTest, SnapshotHasTheStandardLayout) {
  Client hub_client = client();
  const fs::path snapshot = snapshot_download(hub_client, kRepo);
  EXPECT_EQ(snapshot, folder() / "snapshots" / commit);
  expect_whole(snapshot, files);
  EXPECT_EQ(read_text_file(folder() / "refs/main"), commit);
  EXPECT_TRUE(fs::exists(settings.cache / "CACHEDIR.TAG"));
  const fs::path weights = snapshot / "model.safetensors";
  ASSERT_TRUE(fs::is_symlink(weights));
  EXPECT_EQ(fs::read_symlink(weights).parent_path(), "../../blobs");
  EXPECT_EQ(fs::read_symlink(weights).filename().string().size(), 64u);
  EXPECT_EQ(fs::read_symlink(snapshot / "nested/extra notes.txt").parent_path(), "../../../blobs");
  EXPECT_TRUE(RepoCache(settings, kRepo).listing(commit));
}

TEST_F(HubTest, SecondTimeNothingIsFetched) {
  Client hub_client = client();
  snapshot_download(hub_client, kRepo);
  hub.forget_seen();
  snapshot_download(hub_client, kRepo);
  EXPECT_EQ(hub.seen().size(), 1u);  // where the branch is
  hub.forget_seen();
  snapshot_download(hub_client, kRepo, {.revision = commit});
  EXPECT_EQ(hub.seen().size(), 0u);
}

TEST_F(HubTest, AFileCostsOneHeadAtMost) {
  Client hub_client = client();
  const auto heads_of = [&](const auto& work) {
    hub.forget_seen();
    work();
    return requests_of("HEAD", "");
  };
  const auto snapshot = [&] { snapshot_download(hub_client, kRepo); };
  const auto one = [&] { hf_hub_download(hub_client, kRepo, "model.safetensors"); };
  // A break on the way: the bytes are asked for again, the file is not.
  hub.set_fault([broken = false](const ServerRequest&, bool on_storage, Reply& reply) mutable {
    if (on_storage && !std::exchange(broken, true)) reply.cut_after = 100'000;
  });
  EXPECT_EQ(heads_of(one), 1u);
  EXPECT_EQ(requests_of("GET", "/blob/"), 2u);
  EXPECT_EQ(heads_of(one), 1u) << "the branch may have moved";
  EXPECT_EQ(heads_of([&] {
              hf_hub_download(hub_client, kRepo, "model.safetensors", {.revision = commit});
            }),
            0u);
  EXPECT_EQ(heads_of(snapshot), files.size() - 1);
  EXPECT_EQ(heads_of(snapshot), 0u) << "all of it is there";
  // A new commit: the one file that changed is asked for, and a copy of another one is not.
  auto changed = files;
  changed["config.json"].content = "{}";
  changed["copy.safetensors"] = files["model.safetensors"];
  changed["copy.md"] = files["README.md"];
  hub.commit(kRepo, changed);
  EXPECT_EQ(heads_of(snapshot), 1u);
  EXPECT_EQ(requests_of("HEAD", "config.json"), 1u);
  EXPECT_EQ(requests_of("GET", "/resolve/"), 1u);
  expect_whole(snapshot_download(hub_client, kRepo), changed);
}

TEST_F(HubTest, ABlobThatIsCutShortIsFetchedForANewCommit) {
  Client hub_client = client();
  const fs::path first = snapshot_download(hub_client, kRepo);
  fs::resize_file(fs::canonical(first / "model.safetensors"), 1000);
  auto changed = files;
  changed["config.json"].content = "{}";
  hub.commit(kRepo, changed);
  expect_whole(snapshot_download(hub_client, kRepo), changed);
}

TEST_F(HubTest, ANewCommitSharesTheBlobs) {
  Client hub_client = client();
  snapshot_download(hub_client, kRepo);
  auto changed = files;
  changed["config.json"].content = "{}";
  const std::string second = hub.commit(kRepo, changed);
  hub.forget_seen();
  const fs::path snapshot = snapshot_download(hub_client, kRepo);
  EXPECT_EQ(snapshot.filename(), second);
  expect_whole(snapshot, changed);
  EXPECT_EQ(requests_of("GET", "/blob/"), 0u);
  expect_whole(folder() / "snapshots" / commit, files);
}

TEST_F(HubTest, BranchesTagsAndPullRequests) {
  const std::string other = hub.commit(kRepo, {{"a.txt", {"on a branch", false}}}, "feature/x");
  hub.commit(kRepo, {{"b.txt", {"proposed", false}}}, "refs/pr/1");
  Client hub_client = client();
  EXPECT_EQ(snapshot_download(hub_client, kRepo, {.revision = "feature/x"}).filename(), other);
  EXPECT_EQ(read_text_file(folder() / "refs/feature/x"), other);
  EXPECT_EQ(
      read_text_file(snapshot_download(hub_client, kRepo, {.revision = "refs/pr/1"}) / "b.txt"),
      "proposed");
}

TEST_F(HubTest, PatternsChooseFiles) {
  Client hub_client = client();
  const fs::path snapshot = snapshot_download(
      hub_client, kRepo, {.patterns = {.include = {"*.json", "*.md"}, .exclude = {"READ*"}}});
  EXPECT_TRUE(fs::exists(snapshot / "config.json"));
  EXPECT_FALSE(fs::exists(snapshot / "README.md"));
  EXPECT_FALSE(fs::exists(snapshot / "model.safetensors"));
}

TEST_F(HubTest, OneFile) {
  Client hub_client = client();
  const fs::path path = hf_hub_download(hub_client, kRepo, "nested/extra notes.txt");
  EXPECT_EQ(path, folder() / "snapshots" / commit / "nested/extra notes.txt");
  EXPECT_EQ(read_text_file(path), "a file with a blank");
  EXPECT_THAT(message_of<NotFoundError>([&] { hf_hub_download(hub_client, kRepo, "no.txt"); }),
              HasSubstr("no such file"));
  EXPECT_THROW(hf_hub_download(hub_client, kRepo, "../no.txt"), FormatError);
}

TEST_F(HubTest, WithoutSymlinksThereAreCopies) {
  settings.symlinks = false;
  Client hub_client = client();
  const fs::path snapshot = snapshot_download(hub_client, kRepo);
  EXPECT_FALSE(fs::is_symlink(snapshot / "config.json"));
  expect_whole(snapshot, files);
}

TEST_F(HubTest, ProgressCountsEveryByteOnce) {
  uint64_t last = 0;
  size_t calls = 0;
  uint64_t total = 0;
  for (const auto& [path, file] : files) total += file.content.size();
  Client hub_client = client();
  snapshot_download(hub_client, kRepo, {.progress = [&](const Progress& progress) {
                      EXPECT_GE(progress.done, last);
                      EXPECT_LE(progress.file_done, progress.file_total);
                      EXPECT_EQ(progress.total, total);
                      EXPECT_EQ(progress.file_count, 4u);
                      last = progress.done;
                      ++calls;
                    }});
  EXPECT_EQ(last, total);
  EXPECT_GT(calls, 8u);
}

TEST_F(HubTest, WhatProgressThrowsEndsTheDownloadAndTheRestGoesOn) {
  struct Stop {};
  Client hub_client = client();
  EXPECT_THROW(snapshot_download(hub_client, kRepo,
                                 {.progress =
                                      [](const Progress& progress) {
                                        if (progress.file_done > 100'000) throw Stop();
                                      }}),
               Stop);
  expect_no_trace_of("model.safetensors");
  hub.forget_seen();
  expect_whole(snapshot_download(hub_client, kRepo), files);
  for (const auto& one : hub.seen()) {
    if (!one.on_storage) continue;
    EXPECT_THAT(one.request.header("range"), HasSubstr("bytes=1"));
  }
}

TEST_F(HubTest, OfflineUsesTheCacheAlone) {
  Client online = client();
  settings.offline = true;
  Client offline = client();
  EXPECT_THAT(message_of<NotFoundError>([&] { snapshot_download(offline, kRepo); }),
              HasSubstr("HF_HUB_OFFLINE"));
  snapshot_download(online, kRepo, {.patterns = {.include = {"*.json"}}});
  hub.forget_seen();
  // The listing tells that this snapshot is not whole.
  EXPECT_THAT(message_of<NotFoundError>([&] { snapshot_download(offline, kRepo); }),
              HasSubstr("model.safetensors"));
  EXPECT_EQ(snapshot_download(offline, kRepo, {.patterns = {.include = {"*.json"}}}),
            folder() / "snapshots" / commit);
  EXPECT_EQ(read_text_file(hf_hub_download(offline, kRepo, "config.json")),
            files["config.json"].content);
  EXPECT_THROW(hf_hub_download(offline, kRepo, "README.md"), NotFoundError);
  EXPECT_TRUE(hub.seen().empty());
}

TEST_F(HubTest, AnUnreachableHubFallsBackToTheCacheWithAWarning) {
  Client online = client();
  snapshot_download(online, kRepo);
  settings.endpoint = "http://127.0.0.1:1";
  Client cut_off = client();
  std::string warning;
  const auto before = set_warning_sink([&](const std::string& text) { warning = text; });
  EXPECT_EQ(snapshot_download(cut_off, kRepo), folder() / "snapshots" / commit);
  set_warning_sink(before);
  EXPECT_THAT(warning, HasSubstr("What the cache has is used"));
  EXPECT_THROW(snapshot_download(cut_off, "org/other"), NetworkError);
}

TEST_F(HubTest, ADamagedListingIsFetchedAnew) {
  Client hub_client = client();
  snapshot_download(hub_client, kRepo);
  for (const char* text : {"", "{", R"({"format_version": 2})", R"({"format_version": 1})",
                           R"({"format_version": 1, "files": {"../x": {}}})"}) {
    write_file_atomically(folder() / "trees" / (commit + ".json"), text);
    expect_whole(snapshot_download(hub_client, kRepo), files);
    EXPECT_TRUE(RepoCache(settings, kRepo).listing(commit)) << text;
  }
}

TEST_F(HubTest, ATruncatedBlobIsReplaced) {
  Client hub_client = client();
  const fs::path snapshot = snapshot_download(hub_client, kRepo);
  fs::resize_file(fs::canonical(snapshot / "model.safetensors"), 1000);
  expect_whole(snapshot_download(hub_client, kRepo), files);
}

/// Runs `work` in a process of its own; its exit status.
template <typename Work>
pid_t start_process(Work&& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    int status = 1;
    try {
      work();
      status = 0;
    } catch (const std::exception& error) {
      std::fprintf(stderr, "child: %s\n", error.what());
    }
    ::_exit(status);
  }
  return child;
}

int status_of(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_F(HubTest, TwoProcessesFetchAFileOnce) {
  const auto work = [&] {
    Client hub_client(settings);
    const fs::path weights = snapshot_download(hub_client, kRepo) / "model.safetensors";
    if (read_text_file(weights) != files.at("model.safetensors").content) {
      throw FormatError("other bytes");
    }
  };
  const pid_t first = start_process(work), second = start_process(work);
  EXPECT_EQ(status_of(first), 0);
  EXPECT_EQ(status_of(second), 0);
  EXPECT_EQ(requests_of("GET", "/blob/"), 1u);
}

TEST_F(HubTest, AKilledProcessLeavesWhatTheNextOneGoesOnWith) {
  hub.set_fault([](const ServerRequest&, bool on_storage, Reply& reply) {
    if (on_storage) reply.stall_after = 130'000;
  });
  settings.download_timeout = 60;
  const pid_t child = start_process([&] {
    Client hub_client(settings);
    snapshot_download(hub_client, kRepo, {.progress = [](const Progress& progress) {
                        if (progress.file_done >= 130'000) ::raise(SIGKILL);
                      }});
  });
  EXPECT_EQ(status_of(child), -1);
  expect_no_trace_of("model.safetensors");
  hub.set_fault({});
  hub.forget_seen();
  Client hub_client = client();
  expect_whole(snapshot_download(hub_client, kRepo), files);
  EXPECT_EQ(requests_of("GET", "/blob/"), 1u);
  for (const auto& one : hub.seen()) {
    if (!one.on_storage) continue;
    EXPECT_EQ(one.request.header("range"), "bytes=130000-");
  }
}

TEST_F(HubTest, ALockIsWaitedFor) {
  const RepoCache cache(settings, kRepo);
  auto lock = std::make_unique<FileLock>(cache.lock("x"));
  std::atomic<bool> entered = false;
  std::thread other([&] {
    const FileLock second(cache.lock("x"));
    entered = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_FALSE(entered);
  lock.reset();
  other.join();
  EXPECT_TRUE(entered);
}

}  // namespace
}  // namespace peft::hub
