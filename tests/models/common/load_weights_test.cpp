#include "peft/models/common/load_weights.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "peft/base/error.h"
#include "peft/models/registry.h"
#include "tests/models/golden_file.h"

namespace peft {
namespace {

using test::GoldenFile;

struct Source {
  GoldenFile file = GoldenFile::read("models", "llama_plain");
  std::map<std::string, at::Tensor> tensors;
  Source() {
    for (const auto& [name, tensor] : file.tensors) {
      if (name.starts_with("weight/")) tensors[name.substr(7)] = tensor;
    }
  }
  WeightSource get() const {
    WeightSource source;
    for (const auto& [name, tensor] : tensors)
      source.entries.push_back({name, tensor.sizes().vec()});
    source.read = [this](const std::string& name, at::ScalarType dtype) {
      return tensors.at(name).to(dtype);
    };
    return source;
  }
};

TEST(LoadWeights, AdoptsTensorsOfTheRightDtypeWithoutACopy) {
  const Source source;
  auto model = make_language_model(source.file.config);
  EXPECT_TRUE(load_weights(*model, source.get()).unexpected.empty());
  for (const auto& item : model->named_parameters()) {
    EXPECT_EQ(item.value().data_ptr(), source.tensors.at(item.key()).data_ptr()) << item.key();
    EXPECT_FALSE(item.value().requires_grad());
  }
}

TEST(LoadWeights, ConvertsToTheModelsDtype) {
  const Source source;
  auto model = make_language_model(source.file.config, {.dtype = at::kBFloat16});
  load_weights(*model, source.get());
  for (const auto& item : model->named_parameters()) {
    EXPECT_TRUE(at::equal(item.value(), source.tensors.at(item.key()).to(at::kBFloat16)));
  }
}

TEST(LoadWeights, ReportsKeysWithoutAPlace) {
  Source source;
  source.tensors["model.layers.0.self_attn.sinks"] = at::ones({3});
  auto model = make_language_model(source.file.config);
  EXPECT_EQ(load_weights(*model, source.get()).unexpected,
            std::vector<std::string>{"model.layers.0.self_attn.sinks"});
}

TEST(LoadWeights, NamesMissingKeysAndLeavesTheModelAlone) {
  Source source;
  source.tensors.erase("model.layers.1.mlp.up_proj.weight");
  auto model = make_language_model(source.file.config);
  const auto before = model->named_parameters()["model.norm.weight"].clone();
  try {
    load_weights(*model, source.get());
    FAIL() << "expected a MismatchError";
  } catch (const MismatchError& error) {
    EXPECT_NE(std::string(error.what()).find("model.layers.1.mlp.up_proj.weight"),
              std::string::npos);
  }
  EXPECT_TRUE(at::equal(model->named_parameters()["model.norm.weight"], before));
}

TEST(LoadWeights, RefusesAWrongShape) {
  Source source;
  source.tensors["model.norm.weight"] = at::ones({7});
  auto model = make_language_model(source.file.config);
  EXPECT_THROW(load_weights(*model, source.get()), MismatchError);
}

TEST(LoadWeights, ReadsAModelThatWasSavedWithoutItsHeadsPrefix) {
  Source source;
  std::map<std::string, at::Tensor> renamed;
  for (const auto& [name, tensor] : source.tensors) {
    renamed[name.starts_with("model.") ? name.substr(6) : name] = tensor;
  }
  source.tensors = renamed;
  auto model = make_language_model(source.file.config);
  load_weights(*model, source.get());
  EXPECT_TRUE(
      at::equal(model->named_parameters()["model.norm.weight"], source.tensors.at("norm.weight")));
}

}  // namespace
}  // namespace peft
