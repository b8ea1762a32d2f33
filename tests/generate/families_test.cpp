// Every family's language models write what Python's write, from prompts of unequal length.

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "peft/base/error.h"
#include "peft/generate/generate.h"
#include "tests/models/contract.h"

namespace peft {
namespace {

using test::Contract;

std::vector<std::string> language_models() {
  std::vector<std::string> names;
  for (const auto& name : test::contract_names()) {
    if (Contract::read(name).has("generated")) names.push_back(name);
  }
  return names;
}

std::vector<int64_t> numbers(const at::Tensor& row) {
  const auto flat = row.contiguous();
  return {flat.const_data_ptr<int64_t>(), flat.const_data_ptr<int64_t>() + flat.numel()};
}

class GenerateFamilies : public testing::TestWithParam<std::string> {};

TEST_P(GenerateFamilies, GreedyTokensEqualPythons) {
  const auto file = Contract::read(GetParam());
  const auto model = std::dynamic_pointer_cast<LanguageModelImpl>(file.model());
  std::vector<std::vector<int64_t>> prompts;
  for (int64_t row = 0; row < file["ids"].size(0); ++row) {
    prompts.push_back(numbers(file["ids"][row].masked_select(file["left_mask"][row].ne(0))));
  }
  for (const auto* cache : {"dynamic", "static"}) {
    const auto got =
        generate(*model, prompts,
                 {.max_new_tokens = file["generated"].size(1), .cache_implementation = cache});
    ASSERT_EQ(got.size(), prompts.size());
    for (size_t row = 0; row < got.size(); ++row) {
      EXPECT_EQ(got[row].tokens, numbers(file["generated"][static_cast<int64_t>(row)])) << cache;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, GenerateFamilies, testing::ValuesIn(language_models()),
                         [](const auto& info) { return info.param; });

TEST(GenerateFamilies, NoModelWritesBeyondItsLearnedPositions) {
  const auto file = Contract::read("gpt2_lm");
  const auto model = std::dynamic_pointer_cast<LanguageModelImpl>(file.model());
  const std::vector<int64_t> prompt(10, 5);
  EXPECT_NO_THROW(generate(*model, {prompt}, {.max_new_tokens = 7}));
  EXPECT_THROW(generate(*model, {prompt}, {.max_new_tokens = 8}), ConfigError);
}

}  // namespace
}  // namespace peft
