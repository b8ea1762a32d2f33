// Adapters of LoRA's variants that Python PEFT wrote: the same outputs, gradients, steps, keys and
// configs here.

#include <gtest/gtest.h>

#include "peft/methods/lora/layer.h"
#include "peft/methods/lora/variants/dora.h"
#include "peft/methods/lora/variants/losses.h"
#include "peft/methods/lora/variants/monteclora.h"
#include "peft/methods/lora/variants/qalora.h"
#include "peft/tensor/call_tokens.h"
#include "tests/front/golden_run.h"
#include "tests/front/variant_models.h"

namespace peft {
namespace {

namespace fs = std::filesystem;
using namespace test;  // NOLINT: what the golden tests share

fs::path variant(const std::string& name) { return golden("../golden_variants") / name; }

template <typename Net>
PeftModelFor<Net> load_variant(const std::string& name) {
  return PeftModel::from_pretrained(net_of<Net>(variant(name)), variant(name),
                                    {.is_trainable = true});
}

StateDict run_of(const std::string& name) { return tensors_of(variant(name) / "run.safetensors"); }

template <typename Net>
void expect_like_python(const std::string& name) {
  auto model = load_variant<Net>(name);
  expect_same_files(model, variant(name));
  expect_training_like_python(model, run_of(name),
                              [&](const at::Tensor& x) { return model->forward(x); });
}

TEST(GoldenVariants, DoraOnLinearEmbeddingAndConvolution) {
  expect_like_python<models::Mixed>("dora");
}

TEST(GoldenVariants, DoraOnTransposedLayers) {
  expect_like_python<models::Transposed>("dora_transposed");
}

TEST(GoldenVariants, DoraOnConvolutionsOfAllDimensions) {
  expect_like_python<models::Images>("dora_images");
  auto model = load_variant<models::Images>("dora_images");
  EXPECT_THROW(model.merge_adapter(), UnsupportedError);
}

TEST(GoldenVariants, TrainableTokens) { expect_like_python<models::Mixed>("tokens"); }

TEST(GoldenVariants, TrainableTokensBesideDora) {
  expect_like_python<models::Mixed>("tokens_dora");
}

TEST(GoldenVariants, TargetParameters) { expect_like_python<models::Experts>("parameters"); }

TEST(GoldenVariants, TargetParametersBesideModules) {
  expect_like_python<models::Experts>("parameters_and_modules");
}

TEST(GoldenVariants, BlockDiagonal) { expect_like_python<models::Mixed>("bdlora"); }

TEST(GoldenVariants, Kasa) {
  expect_like_python<models::Mixed>("kasa");
  auto model = load_variant<models::Mixed>("kasa");
  expect_close(lora::kasa_loss(model.tuner()), run_of("kasa").at("loss"), "extra loss");
  EXPECT_THROW(model.add_adapter("plain", LoraConfig{.target_modules = {"lin1"}}), ConfigError);
}

TEST(GoldenVariants, QaloraSeesItsInputsInGroups) {
  const StateDict run = tensors_of(variant("qalora.safetensors"));
  const lora::LoraAdapter adapter{.a = run.at("a"), .b = run.at("b"), .bias = {}, .scaling = 0.75};
  expect_close(lora::qalora_update(adapter, run.at("x"), 4), run.at("y"), "update");
  EXPECT_THROW(lora::qalora_update(adapter, run.at("x"), 5), ConfigError);
}

// Python's random numbers in the place of our own.
void use_noise_of(PeftModelFor<models::Mixed>& model, const StateDict& run) {
  for (Attachment& attachment : model.tuner().attachments()) {
    const std::string name = attachment.found.site.module_name + ".";
    const auto& layer = dynamic_cast<const lora::LoraLayer&>(*attachment.layer);
    auto& variant = dynamic_cast<lora::MontecloraVariant&>(*layer.adapter("default").variant);
    variant.set_noise([=] {
      return lora::MontecloraNoise{.normal = run.at(name + "z_mvn"),
                                   .wishart = run.at(name + "z_wishart").diagonal(),
                                   .mixture = run.at(name + "z_dirichlet")};
    });
  }
}

TEST(GoldenVariants, Monteclora) {
  const StateDict run = run_of("monteclora");
  auto model = load_variant<models::Mixed>("monteclora");
  use_noise_of(model, run);
  expect_close(lora::monteclora_loss(model.tuner()), run.at("loss"), "extra loss");
  expect_same_files(model, variant("monteclora"));
  expect_training_like_python(model, run, [&](const at::Tensor& x) { return model->forward(x); });
  auto drawing = load_variant<models::Mixed>("monteclora");
  EXPECT_FALSE(at::equal(drawing->forward(run.at("input")), drawing->forward(run.at("input"))));
  drawing.eval();
  EXPECT_TRUE(at::equal(drawing->forward(run.at("input")), drawing->forward(run.at("input"))));
}

TEST(GoldenVariants, Velora) { expect_like_python<models::Mixed>("velora"); }

TEST(GoldenVariants, ActivatedFromTheInvocationTokensOn) {
  auto model = load_variant<models::Mixed>("alora");
  expect_same_files(model, variant("alora"));
  expect_training_like_python(model, run_of("alora"), [&](const at::Tensor& x) {
    const CallTokensScope tokens(x);
    return model->forward(x);
  });
  EXPECT_THROW(model->forward(run_of("alora").at("input")), UnsupportedError);
  EXPECT_THROW(model.merge_adapter(), UnsupportedError);
}

// Whatever reads the weight sees what the layer computes with it.
TEST(GoldenVariants, DoraIsTheSameForOtherReadersOfTheWeight) {
  auto model = load_variant<models::Mixed>("dora");
  const at::NoGradGuard no_grad;
  const at::Tensor x = torch::randn({4, 8}).to(test_device());
  auto net = model.get_base_model();
  const at::Tensor seen = effective(net->lin1->weight);
  expect_close(torch::addmm(net->lin1->bias, x, seen.t()), net->lin1(x), "linear");
  const at::Tensor rows = effective(net->emb->weight, CallKind::kLookup);
  const at::Tensor ids = torch::arange(11).to(test_device());
  expect_close(rows, net->emb(ids), "embedding");
  expect_close(torch::matmul(x, net->emb->weight.t()), torch::matmul(x, rows.t()), "product");
}

TEST(GoldenVariants, CachedNormsAreNeverStale) {
  auto model = load_variant<models::Mixed>("dora");
  const at::Tensor x = run_of("dora").at("input");
  model.eval();
  const at::NoGradGuard no_grad;
  const at::Tensor plain = model->forward(x);
  const DoraCaching caching;
  EXPECT_TRUE(at::equal(model->forward(x), plain));
  EXPECT_TRUE(at::equal(model->forward(x), plain));
  for (auto& [name, tensor] : model.trainable_parameters()) {
    if (name.find("lora_B") != std::string::npos) tensor.mul_(1.5);
  }
  base(model.get_base_model()->lin2->weight).mul_(0.5);
  const at::Tensor cached = model->forward(x);
  const DoraCaching off(false);
  EXPECT_TRUE(at::equal(cached, model->forward(x)));
}

TEST(GoldenVariants, AFreshAdapterChangesNothing) {
  for (const bool velora : {false, true}) {
    models::Mixed net;
    const at::Tensor x = torch::randint(0, 11, {3, 5});
    const at::Tensor before = net->forward(x).detach();
    LoraConfig config{.r = 2, .target_modules = {"lin1", "lin2"}};
    config.trainable_token_indices = Json::parse(R"({"emb": [2, 3]})");
    if (velora) {
      config.velora_config = Json::object();
    } else {
      config.use_dora = true;
      config.target_modules = {"lin1", "conv"};
    }
    auto model = get_peft_model(net, config);
    expect_close(model->forward(x), before, velora ? "VeLoRA" : "DoRA");
  }
}

TEST(GoldenVariants, TwoAdaptersAreChained) {
  auto model = load_variant<models::Mixed>("dora");
  model.load_adapter(variant("velora"), "second", {.is_trainable = true});
  model.set_adapter({"default", "second"});
  model.eval();
  const at::NoGradGuard no_grad;
  const at::Tensor x = run_of("dora").at("input");
  const at::Tensor both = model->forward(x);
  model.merge_adapter();
  expect_close(model->forward(x), both, "merged");
  model.unmerge_adapter();
  EXPECT_TRUE(at::equal(model->forward(x), both));
}

}  // namespace
}  // namespace peft
