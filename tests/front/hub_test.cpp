// Adapters by their names on the Hub, and to it.
#include <gmock/gmock.h>
#include <stdlib.h>
#include <torch/torch.h>

#include "peft/base/error.h"
#include "peft/base/file.h"
#include "peft/hub/upload.h"
#include "peft/peft.h"
#include "peft/push_to_hub.h"
#include "tests/front/support.h"
#include "tests/hub/fake_hub.h"

namespace peft {
namespace {

namespace fs = std::filesystem;
using test::Net;
using test::TemporaryFolder;
using testing::HasSubstr;

TEST(PeftModelOnTheHub, GoesUpAndComesDownByName) {
  const TemporaryFolder home("front_hub");
  hub::FakeHub hub;
  ::setenv("HF_ENDPOINT", hub.endpoint().c_str(), 1);
  ::setenv("HF_HOME", home.path().c_str(), 1);
  ::setenv("HF_TOKEN", hub::kTestToken, 1);
  ::setenv("HF_HUB_OFFLINE", "0", 1);
  ::setenv("no_proxy", "127.0.0.1,localhost", 1);

  torch::manual_seed(5);
  Net net;
  auto model = get_peft_model(net, LoraConfig{.r = 2, .target_modules = {"fc1"}});
  {
    const torch::NoGradGuard no_grad;
    for (const auto& [name, tensor] : model.trainable_parameters()) tensor.normal_();
  }
  const at::Tensor x = torch::randn({4, 6}), expected = model.forward(x);

  const hub::Commit first = push_to_hub(model, "org/lora", {.tags = {"appointments"}});
  EXPECT_EQ(first.oid.size(), 40u);
  EXPECT_TRUE(hub.files("org/lora")["adapter_model.safetensors"].large);
  EXPECT_THAT(hub.files("org/lora")["README.md"].content, HasSubstr("- appointments"));

  // A card that is there keeps its text and its tags.
  const std::string card = hub.files("org/lora")["README.md"].content + "\nWritten by hand.\n";
  hub::Client client(hub::settings_from_environment());
  hub::push_saved(client, "org/lora", {}, [&](const fs::path& folder) {
    write_file_atomically(folder / "README.md", card);
  });
  push_to_hub(model, "org/lora", {.tags = {"journeys"}});
  const std::string now = hub.files("org/lora")["README.md"].content;
  EXPECT_THAT(now, HasSubstr("Written by hand."));
  EXPECT_THAT(now, HasSubstr("- appointments"));
  EXPECT_THAT(now, HasSubstr("- journeys"));

  const auto request = push_to_hub(model, "org/lora", {.create_pr = true});
  EXPECT_NE(request.pull_request_url, "");
  EXPECT_THROW(push_to_hub(model, "org/lora", {.token = hub::Token("wrong")}), Error);

  model.unload();
  // Frozen adapters are multiplied by another kernel, which rounds differently.
  auto loaded = PeftModel::from_pretrained(net, "org/lora", {.is_trainable = true});
  EXPECT_TRUE(torch::equal(loaded.forward(x), expected));
  loaded.load_adapter("org/lora@main", "second", {.is_trainable = true});
  loaded.set_adapter("second");
  EXPECT_TRUE(torch::equal(loaded.forward(x), expected));
  EXPECT_THROW(loaded.load_adapter("org/none", "third"), NotFoundError);
  const LoadAdapterOptions elsewhere{
      .source = {.kwargs = {{"revision", "main"}, {"cache_dir", (home.path() / "own").string()}}}};
  loaded.load_adapter("org/lora", "fourth", elsewhere);
  EXPECT_TRUE(fs::exists(home.path() / "own" / "models--org--lora" / "refs" / "main"));
  loaded.delete_adapter("fourth");
  EXPECT_EQ(loaded.peft_config().size(), 2u);
}

}  // namespace
}  // namespace peft
