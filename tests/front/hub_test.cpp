// Adapters by their names on the Hub, and to it.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <torch/torch.h>

#include "peft/base/error.h"
#include "peft/base/file.h"
#include "peft/hub/upload.h"
#include "peft/peft.h"
#include "tests/front/support.h"
#include "tests/hub/fake_hub.h"

namespace peft {
namespace {

namespace fs = std::filesystem;
using test::Net;
using test::TemporaryFolder;

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

  hub::Client client(hub::settings_from_environment());
  hub::push_saved(client, "org/lora", {},
                  [&](const fs::path& folder) { model.save_pretrained(folder); });
  EXPECT_TRUE(hub.files("org/lora")["adapter_model.safetensors"].large);

  model.unload();
  auto loaded = PeftModel::from_pretrained(net, "org/lora");
  EXPECT_TRUE(torch::equal(loaded.forward(x), expected));
  loaded.load_adapter("org/lora@main", "second");
  loaded.set_adapter("second");
  EXPECT_TRUE(torch::equal(loaded.forward(x), expected));
  EXPECT_THROW(loaded.load_adapter("org/none", "third"), NotFoundError);
  EXPECT_EQ(loaded.peft_config().size(), 2u);
}

}  // namespace
}  // namespace peft
