// Prompts that are damaged, of other models or wrongly called, on a model of every task: what is
// said, and that the model is afterwards what it was.

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "peft/adapter_folder.h"
#include "peft/base/file.h"
#include "peft/base/json_text.h"
#include "peft/base/text.h"
#include "peft/formats/safetensors_writer.h"
#include "peft/methods/registry.h"
#include "tests/front/contract_task.h"
#include "tests/front/support.h"
#include "tests/support/expect_message.h"

namespace peft {
namespace {

namespace fs = std::filesystem;
using test::AnyTaskModel;
using test::Contract;
using test::expect_message;
using test::TaskBatch;
using test::TemporaryFolder;

/// The methods that put something before the tokens of a model.
std::vector<std::string> prompt_types(const std::string& task_type) {
  std::vector<std::string> types;
  for (const Method* method : all_methods()) {
    if (!method->is_prompt_learning()) continue;
    if (method->name == "CPT" && task_type != "CAUSAL_LM") continue;
    types.emplace_back(method->name);
  }
  return types;
}

class MisuseOfPrompts : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    torch::manual_seed(5);
    base = contract.model();
    before = facts();
  }

  // Whatever was tried, the model computes as before and learns nothing new.
  void TearDown() override { expect_base_untouched(); }
  void expect_base_untouched() const {
    EXPECT_FALSE(base->named_children().contains("prompt_encoder"));
    EXPECT_EQ(facts(), before);
    const at::NoGradGuard no_grad;
    const at::Tensor scores = test::scores(*base, contract.padded_input());
    EXPECT_LT(test::relative_error(scores, contract["right_logits"]), 1e-5);
  }
  std::map<std::string, bool> facts() const {
    std::map<std::string, bool> learns;
    for (const auto& item : base->named_parameters()) {
      learns[item.key()] = item.value().requires_grad();
    }
    return learns;
  }

  PeftConfig config(const std::string& peft_type, int64_t tokens = 3) const {
    Json object = {{"peft_type", peft_type}, {"task_type", task}};
    if (peft_type == "CPT") {
      object["cpt_token_ids"] = std::vector<int64_t>(static_cast<size_t>(tokens), 5);
      object["cpt_tokens_type_mask"] = std::vector<int64_t>(static_cast<size_t>(tokens), 4);
    } else {
      object["num_virtual_tokens"] = tokens;
    }
    if (peft_type == "MULTITASK_PROMPT_TUNING") object["num_tasks"] = 2;
    return parse_config(object, "config");
  }
  AnyTaskModel prompted(const std::string& peft_type) const {
    return {contract.model(), task, config(peft_type)};
  }
  AnyTaskModel loaded(const fs::path& folder, bool is_trainable = false) const {
    return {base, task, folder, FromPretrainedOptions{.is_trainable = is_trainable}};
  }
  void expect_refused(const fs::path& folder, const std::vector<std::string>& parts) const {
    expect_message<Error>(parts, [&] { loaded(folder); });
    expect_base_untouched();
  }
  // Writes an adapter's tensors anew, with another prompt in the place of the one that is there, or
  // with one of another name.
  static void rewrite(const fs::path& folder, const std::string& name, const at::Tensor& prompt) {
    StateDict tensors;
    for (const auto& [key, tensor] : read_adapter_weights(folder)) {
      if (!key.starts_with("prompt_embedding")) tensors.set(key, tensor);
    }
    tensors.set(name, prompt);
    formats::write_safetensors(folder / "adapter_model.safetensors", tensors);
  }
  static void rewrite_field(const fs::path& folder, const std::string& field, const Json& value) {
    Json object = read_json_file(folder / "adapter_config.json");
    object[field] = value;
    write_file_atomically(folder / "adapter_config.json", dump_json(object));
  }

  const Contract contract = Contract::read(GetParam());
  const std::string task = test::task_type_of(contract.task);
  PretrainedModel base;
  std::map<std::string, bool> before;
};

TEST_P(MisuseOfPrompts, DamagedFiles) {
  for (const std::string& type : prompt_types(task)) {
    SCOPED_TRACE(type);
    const TemporaryFolder folder("misuse_of_prompts");
    prompted(type)->save_pretrained(folder.path());
    const fs::path file = folder.path() / "adapter_model.safetensors";
    const std::string bytes = read_text_file(file);
    for (const size_t length : {size_t{0}, size_t{5}, bytes.size() / 2, bytes.size() - 1}) {
      write_file_atomically(file, bytes.substr(0, length));
      expect_refused(folder.path(), {file.string(), "expected", "got"});
    }
    write_file_atomically(file, std::string(300, '\x7f'));
    expect_refused(folder.path(), {file.string(), "expected", "got"});
  }
}

TEST_P(MisuseOfPrompts, TensorsThatDoNotFit) {
  for (const std::string& type : prompt_types(task)) {
    SCOPED_TRACE(type);
    const TemporaryFolder folder("misuse_of_prompts");
    prompted(type)->save_pretrained(folder.path());
    const at::Tensor prompt = read_adapter_weights(folder.path()).at("prompt_embeddings").clone();
    const auto expected = shape_text(prompt.sizes().vec());
    rewrite(folder.path(), "prompt_embedding", prompt);
    expect_refused(folder.path(), {"missing: 'prompt_embeddings'", "'prompt_embedding'"});
    const at::Tensor longer = at::cat({prompt, prompt}, 0), wider = at::cat({prompt, prompt}, 1);
    for (const at::Tensor& other : {longer, wider, prompt.flatten()}) {
      rewrite(folder.path(), "prompt_embeddings", other);
      expect_refused(folder.path(),
                     {"prompt_embeddings", expected, shape_text(other.sizes().vec())});
    }
    rewrite(folder.path(), "prompt_embeddings", prompt);
    EXPECT_NO_THROW(AnyTaskModel(contract.model(), task, folder.path(), FromPretrainedOptions{}));
  }
}

TEST_P(MisuseOfPrompts, ConfigsOfOtherModels) {
  for (const std::string& type : prompt_types(task)) {
    SCOPED_TRACE(type);
    const TemporaryFolder folder("misuse_of_prompts");
    prompted(type)->save_pretrained(folder.path());
    const Json good = read_json_file(folder.path() / "adapter_config.json");
    const bool is_cache = find_method(type).prompt_is_cache;
    if (type != "CPT") {  // whose length is that of its tokens
      for (const int64_t tokens : {0, -3}) {
        rewrite_field(folder.path(), "num_virtual_tokens", tokens);
        expect_refused(folder.path(), {"num_virtual_tokens", "got " + std::to_string(tokens)});
      }
      rewrite_field(folder.path(), "num_virtual_tokens", 5);
      const bool of_tasks = type == "MULTITASK_PROMPT_TUNING";
      expect_refused(folder.path(),
                     {of_tasks ? "prefix_task_cols" : "prompt_embeddings", "expected", "got"});
      rewrite_field(folder.path(), "num_virtual_tokens", good["num_virtual_tokens"]);
      const char* size = is_cache ? "num_layers" : "token_dim";
      rewrite_field(folder.path(), size, 7);
      expect_refused(folder.path(), {size, "got 7", "another model"});
    }
    rewrite_field(folder.path(), "task_type", "TRANSLATION");
    expect_refused(folder.path(), {"task_type"});
  }
}

TEST_P(MisuseOfPrompts, LoadedOnesThatShallLearn) {
  for (const std::string& type : prompt_types(task)) {
    SCOPED_TRACE(type);
    const TemporaryFolder folder("misuse_of_prompts");
    prompted(type)->save_pretrained(folder.path());
    expect_message<ConfigError>({"is_trainable", "prompt learning"},
                                [&] { loaded(folder.path(), true); });
    expect_base_untouched();
  }
}

TEST_P(MisuseOfPrompts, RecomputedActivationsOfPrefixes) {
  for (const std::string& type : prompt_types(task)) {
    SCOPED_TRACE(type);
    if (!find_method(type).prompt_is_cache) continue;
    base->set_gradient_checkpointing(true);
    expect_message<ConfigError>({type, "gradient checkpointing"},
                                [&] { AnyTaskModel(base, task, config(type)); });
    base->set_gradient_checkpointing(false);
    expect_base_untouched();
    const PretrainedModel other = contract.model();
    AnyTaskModel model(other, task, config(type));
    other->set_gradient_checkpointing(true);
    model->train();
    expect_message<ConfigError>({type, "gradient checkpointing", "set_gradient_checkpointing"},
                                [&] { model.scores(test::batch_of(contract)); });
  }
}

TEST_P(MisuseOfPrompts, WrongTasks) {
  auto model = prompted("MULTITASK_PROMPT_TUNING");
  model->eval();
  const at::NoGradGuard no_grad;
  TaskBatch batch = test::batch_of(contract);
  const auto with = [&](const at::Tensor& tasks) {
    return [&model, batch, tasks]() mutable {
      batch.task_ids = tasks;
      return model.scores(batch);
    };
  };
  const at::Tensor right = at::tensor({1, 0}, at::kLong);
  const at::Tensor scores = with(right)();
  expect_message<ConfigError>({"task_ids", "none", "Give task_ids"}, with({}));
  for (const at::Tensor& outside :
       {at::tensor({0, 2}, at::kLong), at::tensor({-1, 0}, at::kLong)}) {
    expect_message<ConfigError>({"task_ids", "0 to 1"}, with(outside));
  }
  expect_message<ConfigError>({"task_ids", "2 rows", "got 3"}, with(at::zeros({3}, at::kLong)));
  expect_message<ConfigError>({"task_ids", "[2, 1]"}, with(right.unsqueeze(1)));
  expect_message<ConfigError>({"task_ids", "Float"}, with(at::tensor({0.9, 0.0}, at::kFloat)));
  expect_message<ConfigError>({"task_ids", "Bool"}, with(right.to(at::kBool)));
  EXPECT_TRUE(at::equal(with(right.to(at::kInt))(), scores)) << "any integers";
}

INSTANTIATE_TEST_SUITE_P(Tasks, MisuseOfPrompts,
                         testing::Values("llama_lm", "gpt2_lm", "t5_relu_lm", "bart_lm",
                                         "bert_sequence_classification",
                                         "bert_token_classification", "bert_question_answering",
                                         "bert_body", "llama_body"),
                         [](const auto& info) { return info.param; });

TEST(MisuseOfPrefixes, ThoseOfAModelWithOtherHeads) {
  const TemporaryFolder folder("misuse_of_prefixes");
  const auto llama = Contract::read("llama_lm"), gpt2 = Contract::read("gpt2_lm");
  for (const char* type : {"PREFIX_TUNING", "CARTRIDGE"}) {
    const Json config = {
        {"peft_type", type}, {"task_type", "CAUSAL_LM"}, {"num_virtual_tokens", 3}};
    AnyTaskModel(llama.model(), "CAUSAL_LM", parse_config(config, "config"))
        ->save_pretrained(folder.path());
    const PretrainedModel base = gpt2.model();
    expect_message<MismatchError>({"prompt_embeddings", "[3, 64]", "[3, 32]"}, [&] {
      AnyTaskModel(base, "CAUSAL_LM", folder.path(), FromPretrainedOptions{});
    });
    EXPECT_FALSE(base->named_children().contains("prompt_encoder"));
  }
}

}  // namespace
}  // namespace peft
