#include "peft/peft_model.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <sstream>

#include "peft/adapter/tag.h"
#include "peft/base/error.h"
#include "peft/base/json_text.h"
#include "peft/peft.h"
#include "tests/front/support.h"

namespace peft {
namespace {

using test::Net;
using test::TemporaryFolder;

Net same_weights(const Net& from) {
  Net to;
  at::NoGradGuard no_grad;
  const auto target = to->named_parameters();
  for (const auto& item : from->named_parameters()) {
    if (const auto* found = target.find(item.key())) found->copy_(item.value());
  }
  return to;
}

void randomise(PeftModel& model, uint64_t seed) {
  at::NoGradGuard no_grad;
  torch::manual_seed(seed);
  for (auto& [name, tensor] : model.named_parameters()) {
    if (name.find("lora_") != std::string::npos) tensor.normal_(0.0, 0.5);
  }
}

TEST(PeftModel, TheExampleOfTheReadmeRuns) {
  torch::manual_seed(0);
  Net net;
  const Net untouched = same_weights(net);
  const TemporaryFolder folder("readme");
  const auto x = torch::randn({4, 6});

  auto model = peft::get_peft_model(
      net, peft::LoraConfig{.r = 4, .target_modules = {"fc1", "fc2"}, .lora_alpha = 8});
  EXPECT_TRUE(at::equal(model->forward(x), Net(untouched)->forward(x)));
  randomise(model, 1);
  const auto y = model->forward(x);
  EXPECT_FALSE(at::allclose(y, Net(untouched)->forward(x)));
  model.save_pretrained(folder.path());

  auto again = peft::PeftModel::from_pretrained(same_weights(untouched), folder.path(),
                                                {.is_trainable = true});
  EXPECT_TRUE(at::allclose(again->forward(x), y, 1e-6, 1e-6));
  {
    auto off = again.disable_adapter();
    EXPECT_TRUE(at::equal(again->forward(x), Net(untouched)->forward(x)));
  }
  EXPECT_TRUE(at::allclose(again.forward(x), y, 1e-6, 1e-6));
  auto plain = again.merge_and_unload();
  EXPECT_TRUE(at::allclose(plain->forward(x), y, 1e-5, 1e-5));
  EXPECT_EQ(plain->named_parameters().size(), 4u);
}

TEST(PeftModel, ParametersHavePythonsNames) {
  Net net;
  auto model = get_peft_model(net, LoraConfig{.r = 2, .target_modules = {"fc1"}});
  std::vector<std::string> names;
  for (const auto& [name, tensor] : model.trainable_parameters()) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"base_model.model.fc1.lora_A.default.weight",
                                             "base_model.model.fc1.lora_B.default.weight"}));
  std::ostringstream out;
  model.print_trainable_parameters(out);
  EXPECT_EQ(out.str(), "trainable params: 22 || all params: 75 || trainable%: 29.3333\n");
}

TEST(PeftModel, GradientsEqualThoseOfTheWeightPlusItsDelta) {
  torch::manual_seed(0);
  Net net;
  auto model = get_peft_model(net, LoraConfig{.r = 2, .target_modules = {"fc1", "fc2"}});
  randomise(model, 3);
  const auto x = torch::randn({4, 6}, torch::requires_grad());
  model->forward(x).square().sum().backward();

  std::map<std::string, at::Tensor> p;
  for (auto& [name, tensor] : model.trainable_parameters()) {
    p[name] = tensor.detach().clone().requires_grad_();
  }
  const auto weight = [&](const std::string& fc, const torch::nn::Linear& layer) {
    const std::string path = "base_model.model." + fc;
    return peft::base(layer->weight).detach() +
           4.0 * p[path + ".lora_B.default.weight"].mm(p[path + ".lora_A.default.weight"]);
  };
  const auto x2 = x.detach().clone().requires_grad_();
  const auto h = torch::relu(at::linear(x2, weight("fc1", net->fc1), net->fc1->bias));
  at::linear(h, weight("fc2", net->fc2), net->fc2->bias).square().sum().backward();
  EXPECT_TRUE(at::allclose(x.grad(), x2.grad(), 1e-4, 1e-5));
  for (auto& [name, tensor] : model.trainable_parameters()) {
    EXPECT_TRUE(at::allclose(tensor.grad(), p[name].grad(), 1e-4, 1e-5)) << name;
  }
}

}  // namespace
}  // namespace peft
