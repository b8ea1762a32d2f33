// LoRA on a model of every family and task: it learns, alone, and comes back from its folder.

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "peft/base/error.h"
#include "peft/methods/lora/targets.h"
#include "peft/peft.h"
#include "tests/front/support.h"
#include "tests/models/contract.h"
#include "tests/support/collected_warnings.h"

namespace peft {
namespace {

using test::Contract;
using test::TemporaryFolder;

class Families : public testing::TestWithParam<std::string> {
 protected:
  // Where Python knows no targets for the type of a model, its user names them.
  LoraConfig config() const {
    LoraConfig lora{.r = 2, .init_lora_weights = false};
    const auto type = file.config().at("model_type").get<std::string>();
    if (!lora::default_targets(type)) lora.target_modules = "all-linear";
    return lora;
  }
  at::Tensor scores(const PretrainedModel& model) const {
    at::NoGradGuard no_grad;
    return test::scores(*model, file.padded_input());
  }

  // Whether Python's scores depend on the weight that an adapter's parameter is of: a body's states
  // do not on its pooler.
  bool scores_depend_on(const std::string& parameter) const {
    const std::string prefix = "base_model.model.";
    const auto module = parameter.substr(prefix.size(), parameter.find(".lora_") - prefix.size());
    return file.has("gradient/" + module + ".weight");
  }

  const Contract file = Contract::read(GetParam());
  const test::CollectedWarnings warnings;  // GPT-2's fan_in_fan_out is set right
};

TEST_P(Families, LoraLearnsAloneAndComesBack) {
  torch::manual_seed(7);
  const auto base = file.model();
  const at::Tensor plain = scores(base);
  auto model = get_peft_model(base, config());
  model.eval();
  const at::Tensor before = scores(base);
  EXPECT_GT(test::relative_error(before, plain), 1e-4) << "B begins with numbers";

  (test::scores(*base, file.padded_input()) * file["probe"]).sum().backward();
  std::vector<at::Tensor> learning;
  for (const auto& [name, tensor] : model.named_parameters()) {
    const bool adapts = name.find(".lora_") != std::string::npos;
    EXPECT_EQ(tensor.requires_grad(), adapts) << name;
    EXPECT_EQ(tensor.grad().defined(), adapts && scores_depend_on(name)) << name;
    if (adapts) learning.push_back(tensor);
  }
  torch::optim::SGD(learning, 0.01).step();
  const at::Tensor after = scores(base);
  EXPECT_GT(test::relative_error(after, before), 1e-5);

  const TemporaryFolder folder("families_" + GetParam());
  model.save_pretrained(folder.path());
  const auto fresh = file.model();
  const auto again = PeftModel::from_pretrained(fresh, folder.path());
  EXPECT_LT(test::relative_error(scores(fresh), after), 1e-5);
}

TEST_P(Families, AMergedAdapterGivesTheSameScores) {
  torch::manual_seed(8);
  const auto base = file.model();
  auto model = get_peft_model(base, config());
  model.eval();
  const at::Tensor adapted = scores(base);
  const auto merged = model.merge_and_unload();
  EXPECT_LT(test::relative_error(scores(merged), adapted), 1e-4);
  for (const auto& item : merged->named_parameters()) {
    EXPECT_TRUE(file.has("weight/" + item.key())) << item.key();
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Families, testing::ValuesIn(test::contract_names()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace peft
