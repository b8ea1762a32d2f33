#include "peft/adapter/registration.h"

#include <gtest/gtest.h>
#include <torch/library.h>
#include <torch/torch.h>

#include <thread>

#include "peft/base/error.h"
#include "peft/tensor/tag_key.h"
#include "tests/support/fake_adapter.h"

namespace peft::testing {
namespace {

bool is_taken() { return c10::Dispatcher::singleton().hasBackendFallbackForDispatchKey(kTagKey); }

// One test, since a process registers once and the order matters.
TEST(Registration, HappensOnceOnRequestAndTellsOfAnotherOwner) {
  EXPECT_FALSE(is_taken()) << "nothing happens at load time";
  auto local = c10::impl::tls_local_dispatch_key_set();
  EXPECT_FALSE(local.excluded_.has(kTagKey));
  EXPECT_FALSE(local.included_.has(kTagKey));

  auto w = torch::randn({2, 3});
  auto copy = torch::ones({2, 3});
  {
    torch::Library other(torch::Library::IMPL, "_", kTagKey, "other.cpp", 1);
    other.fallback(torch::CppFunction::makeFallthrough());
    EXPECT_THROW(register_dispatcher(), UnsupportedError);
    auto message = error_of([&] { put_replacement(w, copy); });
    EXPECT_NE(message.find("another library, or a second copy"), std::string::npos) << message;
    EXPECT_FALSE(is_tagged(w)) << "nothing is half done";
  }
  EXPECT_FALSE(is_taken()) << "the other owner is gone";

  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back(register_dispatcher);
  for (auto& thread : threads) thread.join();
  EXPECT_TRUE(is_taken());
  register_dispatcher();
  put_replacement(w, copy);
  EXPECT_EQ(at::linear(torch::ones({1, 3}), w).sum().item<double>(), 6);

  bool excluded_in_thread = true;
  {
    c10::impl::ExcludeDispatchKeyGuard below(kTagKey);
    std::thread([&] {
      excluded_in_thread = c10::impl::tls_is_dispatch_key_excluded(kTagKey);
    }).join();
  }
  EXPECT_FALSE(excluded_in_thread);
}

}  // namespace
}  // namespace peft::testing
