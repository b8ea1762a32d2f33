// Models that are opened by their folders: weights on disk under the names of older files, and the
// encoder of an encoder-decoder.

#include "peft/auto.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <fstream>

#include "peft/adapter/offloaded_weight.h"
#include "peft/auto_peft_model.h"
#include "peft/base/error.h"
#include "peft/formats/safetensors_writer.h"
#include "tests/front/support.h"
#include "tests/models/contract.h"

namespace peft {
namespace {

namespace fs = std::filesystem;
using test::Contract;
using test::TemporaryFolder;

using Rename = std::string (*)(std::string);

std::string replaced(std::string text, const std::string& now, const std::string& old) {
  if (const auto at = text.find(now); at != std::string::npos) text.replace(at, now.size(), old);
  return text;
}

std::string old_bert(std::string key) {
  return replaced(replaced(std::move(key), "LayerNorm.weight", "LayerNorm.gamma"), "LayerNorm.bias",
                  "LayerNorm.beta");
}

std::string old_vit(std::string key) {
  key = replaced(std::move(key), "layers.", "encoder.layer.");
  key = replaced(std::move(key), "attention.q_proj.", "attention.attention.query.");
  return replaced(std::move(key), "mlp.fc1.", "intermediate.dense.");
}

std::string old_neox(std::string key) { return replaced(std::move(key), "lm_head.", "embed_out."); }

std::string body_alone(std::string key) { return replaced(std::move(key), "model.", ""); }

// A checkpoint of a contract's weights under other names.
void write_checkpoint(const Contract& file, Rename rename, const fs::path& folder) {
  const auto source = file.file.weights();
  StateDict tensors;
  for (const auto& entry : source.entries) {
    tensors.set(rename(entry.name), source.read(entry.name, at::kFloat).clone());
  }
  formats::write_safetensors(folder / "model.safetensors", tensors, {{"format", "pt"}});
  std::ofstream(folder / "config.json") << file.config().dump();
}

std::string same(std::string key) { return key; }

struct OldFile {
  const char* contract;
  Rename rename;
};

class OldFiles : public testing::TestWithParam<OldFile> {};

TEST_P(OldFiles, TheirWeightsStayOnDiskUnderTheNamesThatTheyHaveThere) {
  const auto file = Contract::read(GetParam().contract);
  const TemporaryFolder folder("auto_old_" + std::string(GetParam().contract));
  write_checkpoint(file, GetParam().rename, folder.path());
  // Without a folder for weights of no file, a weight that is not found is an error.
  const auto model = load_model(formats::Checkpoint::open(folder.path()), file.task,
                                {.device_map = {{"", "disk"}}});
  for (const auto& item : model->named_parameters()) {
    EXPECT_TRUE(offloaded(item.value())) << item.key();
  }
  const at::NoGradGuard no_grad;
  const auto got = test::scores(*model, file.padded_input());
  EXPECT_LT(test::relative_error(got, file[file.reads_text() ? "right_logits" : "logits"]), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Auto, OldFiles,
                         testing::Values(OldFile{"bert_token_classification", old_bert},
                                         OldFile{"vit_body", old_vit},
                                         OldFile{"gpt_neox_lm", old_neox},
                                         OldFile{"bart_lm", body_alone}),
                         [](const auto& info) { return std::string(info.param.contract); });

TEST(Auto, TheEncoderOfAnEncoderDecoderIsABodyOfItsOwn) {
  const auto file = Contract::read("t5_encoder");
  const TemporaryFolder base("auto_t5_encoder"), saved("auto_t5_encoder_adapter");
  write_checkpoint(file, same, base.path());
  const auto open = [&] {
    return load_model_as<EncoderModelImpl>(formats::Checkpoint::open(base.path()),
                                           ModelTask::kBody);
  };
  torch::manual_seed(3);
  PeftModelForFeatureExtraction model(
      open(), LoraConfig{.task_type = "FEATURE_EXTRACTION", .r = 2, .init_lora_weights = false});
  model.get_base_model()->eval();
  const at::NoGradGuard no_grad;
  const auto states = model.forward({.input_ids = file["ids"]}).last_hidden_state;
  EXPECT_GT(test::relative_error(states, file["logits"]), 1e-3);
  model.save_pretrained(saved.path());
  auto again = AutoPeftModelForFeatureExtraction::from_pretrained(saved.path());
  EXPECT_TRUE(at::equal(again.forward({.input_ids = file["ids"]}).last_hidden_state, states));
}

TEST(Auto, AWholeEncoderDecoderGivesItsEncoderWhereTheClassSaysSo) {
  const auto file = Contract::read("t5_body");
  const TemporaryFolder folder("auto_t5_body");
  write_checkpoint(file, same, folder.path());
  const auto checkpoint = formats::Checkpoint::open(folder.path());
  const auto whole = load_model_as<EncoderModelImpl>(checkpoint, ModelTask::kBody);
  const auto encoder = load_model_as<EncoderModelImpl>(
      checkpoint, ModelTask::kBody, {.config = {{"architectures", {"T5EncoderModel"}}}});
  const at::NoGradGuard no_grad;
  EXPECT_EQ(encoder->forward({.input_ids = file["ids"]}).last_hidden_state.size(1),
            file["ids"].size(1));
  EXPECT_FALSE(encoder->named_children().contains("decoder"));
  EXPECT_THROW(whole->forward({.input_ids = file["ids"]}), ConfigError);
}

TEST(Auto, ABodyWithADecoderReadsATargetWithAnAdapterToo) {
  const auto file = Contract::read("t5_body");
  auto model =
      PeftModelForFeatureExtraction(std::dynamic_pointer_cast<EncoderModelImpl>(file.model()),
                                    LoraConfig{.task_type = "FEATURE_EXTRACTION", .r = 2});
  model.get_base_model()->eval();
  const at::NoGradGuard no_grad;
  const EncoderInput input{.input_ids = file["ids"],
                           .attention_mask = file["right_mask"],
                           .decoder_input_ids = file["decoder_ids"],
                           .decoder_attention_mask = file["decoder_mask"]};
  const auto got = model.forward(input).last_hidden_state;
  EXPECT_LT(test::relative_error(got, file["right_logits"]), 1e-5) << "B begins with zeros";
}

TEST(Auto, TheLabelsOfAClassificationHeadAreCounted) {
  const auto file = Contract::read("t5_sequences");
  const TemporaryFolder saved("auto_t5_labels");
  const PeftModelForSequenceClassification model(
      std::dynamic_pointer_cast<TaskModelImpl>(file.model()),
      LoraConfig{.task_type = "SEQ_CLS", .modules_to_save = {{"classification_head"}}});
  model.save_pretrained(saved.path());
  EXPECT_EQ(saved_num_labels(saved.path()), 3);
}

}  // namespace
}  // namespace peft
