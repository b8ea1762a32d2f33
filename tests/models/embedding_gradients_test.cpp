// The gradient of an embedding, whose row of the padding learns where it does in Python.

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "tests/models/contract.h"

namespace peft {
namespace {

using test::Contract;
using test::GoldenFile;
using test::relative_error;

at::Tensor embedding_gradient(const Contract& file) {
  const auto model = file.model();
  auto weight = model->parameters().front();  // what a model registers first
  weight.requires_grad_(true);
  auto in = file.padded_input();
  in.ids = file["padded_ids"];
  (test::scores(*model, in) * file["probe"]).sum().backward();
  return weight.grad();
}

TEST(EmbeddingGradients, EqualPythonsWherePaddingIsAmongTheTokens) {
  const auto golden =
      GoldenFile::open(PEFT_SOURCE_DIR "/tests/models/embedding_gradients.safetensors");
  ASSERT_FALSE(golden.tensors.empty());
  for (const auto& [name, expected] : golden.tensors) {
    const auto got = embedding_gradient(Contract::read(name));
    EXPECT_LT(relative_error(got, expected), 1e-4) << name;
  }
}

TEST(EmbeddingGradients, ANegativePaddingIsCountedFromTheEnd) {
  auto file = Contract::read("llama_body");
  file.file.config["pad_token_id"] = -1;
  const auto last = file.config().at("vocab_size").get<int64_t>() - 1;
  file.file.tensors["padded_ids"].fill_(last);
  EXPECT_EQ(embedding_gradient(file).abs().max().item<double>(), 0.0);
  file.file.config["pad_token_id"] = nullptr;
  EXPECT_GT(embedding_gradient(file)[last].abs().max().item<double>(), 0.0);
}

}  // namespace
}  // namespace peft
