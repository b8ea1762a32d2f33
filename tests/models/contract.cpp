#include "tests/models/contract.h"

#include <torch/torch.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <stdexcept>

#include "peft/models/common/encoder_model.h"
#include "peft/models/common/image_model.h"
#include "peft/models/common/language_model.h"
#include "peft/models/common/load_weights.h"
#include "peft/models/common/seq2seq_model.h"
#include "peft/models/registry.h"

namespace peft::test {
namespace {

const std::string kFolder = PEFT_SOURCE_DIR "/tests/models/contract";

const std::map<std::string, ModelTask> kTasks = {
    {"body", ModelTask::kBody},
    {"causal_lm", ModelTask::kCausalLM},
    {"seq2seq_lm", ModelTask::kSeq2SeqLM},
    {"sequence_classification", ModelTask::kSequenceClassification},
    {"token_classification", ModelTask::kTokenClassification},
    {"question_answering", ModelTask::kQuestionAnswering},
    {"image_classification", ModelTask::kImageClassification}};

// What an encoder reads, without a target.
EncoderInput encoder_input(const ContractInput& in) {
  return {.input_ids = in.ids,
          .inputs_embeds = in.embeds,
          .attention_mask = in.mask,
          .token_type_ids = in.types,
          .position_ids = in.positions,
          .cache = in.cache};
}

EncoderInput body_input(const ContractInput& in) {
  auto input = encoder_input(in);
  input.decoder_input_ids = in.decoder_ids;
  input.decoder_attention_mask = in.decoder_mask;
  return input;
}

}  // namespace

Contract Contract::read(const std::string& name) {
  Contract contract{.file = GoldenFile::open(kFolder + "/" + name + ".safetensors")};
  contract.task = kTasks.at(contract.file.metadata.at("task"));
  return contract;
}

ContractInput Contract::input() const {
  const auto optional = [this](const std::string& name) {
    return has(name) ? file[name] : at::Tensor();
  };
  return {.decoder_ids = optional("decoder_ids"), .pixels = optional("pixel_values")};
}

ContractInput Contract::padded_input() const {
  auto in = input();
  if (!reads_text()) return in;
  in.ids = file["ids"];
  in.mask = file["right_mask"];
  if (has("decoder_mask")) in.decoder_mask = file["decoder_mask"];
  return in;
}

PretrainedModel Contract::model(at::ScalarType dtype) const {
  auto model = make_model(file.config, task, {.dtype = dtype});
  const auto report = load_weights(*model, file.weights());
  if (!report.unexpected.empty()) {
    throw std::runtime_error("contract: no place for " + report.unexpected.front());
  }
  model->eval();
  return model;
}

std::vector<std::string> contract_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

at::Tensor scores(PretrainedModelImpl& model, const ContractInput& in) {
  if (auto* language = dynamic_cast<LanguageModelImpl*>(&model)) {
    return language->forward({.input_ids = in.ids,
                              .inputs_embeds = in.embeds,
                              .attention_mask = in.mask,
                              .position_ids = in.positions,
                              .cache = in.cache});
  }
  if (auto* seq2seq = dynamic_cast<Seq2SeqModelImpl*>(&model)) {
    return seq2seq->forward({.encoder = encoder_input(in),
                             .decoder_input_ids = in.decoder_ids,
                             .decoder_attention_mask = in.decoder_mask});
  }
  if (auto* body = dynamic_cast<EncoderModelImpl*>(&model)) {
    return body->forward(body_input(in)).last_hidden_state;
  }
  if (auto* task = dynamic_cast<TaskModelImpl*>(&model)) return task->forward(body_input(in));
  const ImageInput image{.pixel_values = in.pixels,
                         .interpolate_pos_encoding = in.interpolate_pos_encoding};
  if (auto* body = dynamic_cast<ImageModelImpl*>(&model)) {
    return body->forward(image).last_hidden_state;
  }
  if (auto* task = dynamic_cast<ImageClassifierImpl*>(&model)) return task->forward(image);
  throw std::runtime_error("contract: a model of an unknown kind: " + model.name());
}

}  // namespace peft::test
