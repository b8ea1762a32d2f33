#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "peft/base/json.h"
#include "tests/hub/http_server.h"

namespace peft::hub {

inline constexpr const char* kTestToken = "hf_testtokentesttoken";

/// What one file of a commit is.
struct HubFile {
  std::string content = {};
  bool large = false;
};

/// A server that answers as the Hub does: repositories with commits and branches, small files from
/// itself and large ones from a second host; uploads, pull requests, accounts.
class FakeHub {
 public:
  using Files = std::map<std::string, HubFile>;
  /// May change the answer to a request before it goes out; `on_storage`: from the second host.
  using Fault = std::function<void(const ServerRequest&, bool on_storage, Reply&)>;
  struct Seen {
    ServerRequest request = {};
    bool on_storage = false;
  };

  FakeHub();

  std::string endpoint() const { return hub_.url("127.0.0.1"); }

  /// Makes a repository where absent and puts a commit on its branch; returns the commit.
  std::string commit(const std::string& repo, const Files& files,
                     const std::string& branch = "main");
  void make_private(const std::string& repo);
  void make_gated(const std::string& repo);
  /// The files of a branch.
  Files files(const std::string& repo, const std::string& branch = "main");

  void set_fault(Fault fault);
  /// Every request so far, in order.
  std::vector<Seen> seen();
  void forget_seen();
  /// Files above this size are uploaded in parts of `part_size`.
  void set_part_size(size_t part_size);

 private:
  struct Repo {
    std::map<std::string, Files> commits = {};
    std::map<std::string, std::string> branches = {};
    bool is_private = false, is_gated = false;
    int pull_requests = 0;
  };

  Reply on_hub(const ServerRequest& request);
  Reply on_storage(const ServerRequest& request);
  Reply seen_and_faulted(const ServerRequest& request, bool on_storage);

  Reply api(const ServerRequest& request);
  Reply repo_api(const ServerRequest& request, const std::string& rest);
  Reply create(const ServerRequest& request);
  Reply info(const std::string& name, const std::string& revision);
  Reply tree(const ServerRequest& request, const std::string& name, const std::string& revision);
  Reply preupload(const ServerRequest& request);
  Reply take_commit(const ServerRequest& request, const std::string& name,
                    const std::string& revision);
  Reply resolve(const std::string& name, const std::string& revision, const std::string& path);
  Reply lfs_batch(const ServerRequest& request);

  std::string add_commit(Repo& repo, const std::string& branch, Files files);
  const Files* find(const Repo& repo, std::string& revision) const;
  /// Null and the refusal in `reply` where this request may not see the repository.
  Repo* visible(const ServerRequest& request, const std::string& name, Reply& reply);

  std::mutex mutex_;
  std::map<std::string, Repo> repos_;
  std::map<std::string, std::string> storage_;  // SHA-256 -> content
  std::map<std::string, std::map<int, std::string>> parts_;
  std::vector<Seen> seen_;
  Fault fault_;
  size_t part_size_ = 0;
  int commits_made_ = 0;
  HttpServer storage_server_, hub_;  // last: their threads use the rest
};

}  // namespace peft::hub
