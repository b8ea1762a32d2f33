#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>
#include <vector>

#include "peft/base/file.h"
#include "peft/hub/client.h"
#include "tests/hub/fake_hub.h"

namespace peft::hub {

/// A folder that is gone after the test.
class Scratch {
 public:
  Scratch() {
    std::string name = (std::filesystem::temp_directory_path() / "peft_hub_XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~Scratch() { std::filesystem::remove_all(path_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

/// A Hub with one repository, and a client whose waits take no time and are written down.
class HubTest : public testing::Test {
 protected:
  static constexpr const char* kRepo = "org/model";

  HubTest() {
    ::setenv("no_proxy", "127.0.0.1,localhost", 1);
    std::string large(300'000, '\0');
    for (size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>(i * 7 + i / 251);
    files = {{"config.json", {R"({"model_type": "llama"})", false}},
             {"model.safetensors", {large, true}},
             {"README.md", {"# A model\n", false}},
             {"nested/extra notes.txt", {"a file with a blank", false}}};
    commit = hub.commit(kRepo, files);
    settings.endpoint = hub.endpoint();
    settings.cache = scratch / "hub";
    settings.token_path = scratch / "token";
    settings.token = Token(kTestToken);
    settings.etag_timeout = settings.download_timeout = 1;
  }

  Client client() {
    return Client(settings, [this](double seconds) { waits.push_back(seconds); });
  }

  std::filesystem::path folder() const { return settings.cache / "models--org--model"; }

  /// The snapshot holds these files whole.
  void expect_whole(const std::filesystem::path& snapshot, const FakeHub::Files& expected) const {
    for (const auto& [path, file] : expected) {
      EXPECT_EQ(read_text_file(snapshot / path), file.content) << path;
    }
  }

  /// Nothing has the name of a blob that is not its content's hash, and no snapshot shows the file.
  void expect_no_trace_of(const std::string& path) const {
    EXPECT_FALSE(std::filesystem::exists(folder() / "snapshots" / commit / path));
    for (const auto& entry : std::filesystem::directory_iterator(folder() / "blobs")) {
      EXPECT_TRUE(entry.path().extension() == ".incomplete" || entry.file_size() < 100'000)
          << entry.path();
    }
  }

  size_t requests_of(const std::string& method, const std::string& part) {
    size_t count = 0;
    for (const auto& one : hub.seen()) {
      if (one.request.method == method && one.request.path.find(part) != std::string::npos) ++count;
    }
    return count;
  }

  Scratch scratch;
  FakeHub hub;
  FakeHub::Files files;
  std::string commit;
  Settings settings;
  std::vector<double> waits;
};

/// The message of the error that `work` throws.
template <typename Expected, typename Work>
std::string message_of(Work&& work) {
  try {
    work();
  } catch (const Expected& error) {
    return error.what();
  } catch (const std::exception& error) {
    ADD_FAILURE() << "another error: " << error.what();
    return "";
  }
  ADD_FAILURE() << "no error";
  return "";
}

}  // namespace peft::hub
