// Prompt learning beyond Python's numbers: several prompts, switching them off, a model of one's
// own, prefixes from text, and what is refused.

#include <gtest/gtest.h>

#include "peft/adapter_folder.h"
#include "peft/base/error.h"
#include "peft/base/file.h"
#include "peft/causal_lm_task.h"
#include "peft/convert_to_lora.h"
#include "peft/formats/safetensors_writer.h"
#include "peft/functional.h"
#include "peft/kv_prefix.h"
#include "peft/methods/cartridge/config.h"
#include "peft/methods/cpt/config.h"
#include "peft/methods/multitask_prompt_tuning/config.h"
#include "peft/methods/p_tuning/config.h"
#include "peft/methods/prefix_tuning/config.h"
#include "peft/methods/prompt_tuning/config.h"
#include "peft/models/common/growing_cache.h"
#include "tests/front/golden_prompts.h"
#include "tests/front/support.h"
#include "tests/support/collected_warnings.h"
#include "tests/support/expect_message.h"

namespace peft {
namespace {

using namespace test;  // NOLINT: what the golden tests share

PromptTuningConfig prompt(int64_t tokens = 3) {
  return {.task_type = "CAUSAL_LM", .num_virtual_tokens = tokens};
}

PrefixTuningConfig prefix(int64_t tokens = 3) {
  return {.task_type = "CAUSAL_LM", .num_virtual_tokens = tokens};
}

at::Tensor some_ids() { return at::tensor({5, 9, 12, 40, 7, 8}, at::kLong).view({1, 6}); }

/// The smallest model that can have prompts: a sum over the tokens so far, in a cache of its own.
class SumModelImpl : public LanguageModelImpl {
 public:
  SumModelImpl() {
    embedding = register_module("embedding", torch::nn::Embedding(20, 4));
    out = register_module("out", torch::nn::Linear(4, 20));
  }
  at::Tensor hidden_states(const LanguageModelInput& input) override {
    at::Tensor x = input.inputs_embeds.defined() ? input.inputs_embeds : embed(input.input_ids);
    const int64_t fresh = x.size(1);
    if (input.cache) {
      const at::Tensor heads = x.view({x.size(0), fresh, 2, 2}).transpose(1, 2);
      const at::Tensor all = input.cache->append(0, heads, heads).second;
      x = all.transpose(1, 2).reshape({x.size(0), -1, 4});
    }
    return x.cumsum(1).narrow(1, x.size(1) - fresh, fresh);
  }
  at::Tensor head(const at::Tensor& hidden) override { return out(hidden); }
  at::Tensor head_weight() const override { return out->weight; }
  void untie_head(const at::Tensor&) override {}
  at::Tensor embed(const at::Tensor& ids) override { return embedding(ids); }
  std::unique_ptr<KeyValueCache> new_cache() const override {
    return std::make_unique<GrowingCache>(1);
  }
  ModelShape shape() const override {
    return {.layers = 1, .heads = 2, .kv_heads = 2, .head_dim = 2, .hidden = hidden, .vocab = 20};
  }
  const Json& config() const override { return config_; }
  void set_gradient_checkpointing(bool) override {}

  torch::nn::Embedding embedding{nullptr};
  torch::nn::Linear out{nullptr};
  int64_t hidden = 4;

 private:
  Json config_ = Json::object();
};

std::vector<PeftConfig> every_method() {
  return {prompt(),
          prefix(),
          PromptEncoderConfig{.task_type = "CAUSAL_LM", .num_virtual_tokens = 3},
          MultitaskPromptTuningConfig{.task_type = "CAUSAL_LM", .num_virtual_tokens = 3},
          CPTConfig{.task_type = "CAUSAL_LM",
                    .cpt_token_ids = std::vector<int64_t>{4, 5, 6},
                    .cpt_tokens_type_mask = std::vector<int64_t>{1, 2, 4}},
          CartridgeConfig{.task_type = "CAUSAL_LM", .num_virtual_tokens = 3}};
}

TEST(Prompts, EveryMethodLearnsOnAModelOfOnesOwn) {
  for (const PeftConfig& config : every_method()) {
    SCOPED_TRACE(config.peft_type());
    at::manual_seed(1);
    PeftModelForCausalLM model(std::make_shared<SumModelImpl>(), config);
    const at::Tensor ids = at::tensor({1, 2, 3, 4, 5, 6}, at::kLong).view({2, 3});
    const CausalLMCall call{.task_ids = at::zeros({2}, at::kLong)};
    std::vector<at::Tensor> learning;
    for (const auto& [name, tensor] : model.trainable_parameters()) learning.push_back(tensor);
    torch::optim::SGD sgd(learning, torch::optim::SGDOptions(0.05));
    const double before = model.loss({.input_ids = ids}, ids, call).item<double>();
    for (int step = 0; step < 5; ++step) {
      sgd.zero_grad();
      model.loss({.input_ids = ids}, ids, call).backward();
      sgd.step();
    }
    EXPECT_LT(model.loss({.input_ids = ids}, ids, call).item<double>(), before);
    for (const at::Tensor& tensor : {model.get_base_model()->head_weight()}) {
      EXPECT_FALSE(tensor.grad().defined());
    }
    const auto rows = model.generate({{1, 2}, {3}}, {.max_new_tokens = 3},
                                     CausalLMCall{.task_ids = at::zeros({2}, at::kLong)});
    EXPECT_EQ(rows[0].tokens.size(), 3u);
  }
}

TEST(Prompts, AModelNamesWhatItLacks) {
  expect_message<UnsupportedError>({"PROMPT_TUNING", "peft::LanguageModel", "embed()", "Net"},
                                   [] { get_peft_model(Net(), prompt()); });
  auto silent = std::make_shared<SumModelImpl>();
  silent->hidden = 0;
  expect_message<ConfigError>({"token_dim", "`hidden`", "got 0"},
                              [&] { PeftModelForCausalLM(silent, prompt()); });
  EXPECT_FALSE(silent->named_children().contains("prompt_encoder"));
}

TEST(Prompts, AttributesAreThoseOfPython) {
  PeftModelForCausalLM model(golden_base("llama"), prompt(4));
  EXPECT_EQ(model.peft_type(), "PROMPT_TUNING");
  EXPECT_EQ(model.transformer_backbone_name(), "model");
  EXPECT_EQ(model.word_embeddings().sizes(), (std::vector<int64_t>{300, 24}));
  EXPECT_TRUE(at::equal(model.prompt_tokens().at("default"), at::arange(4)));
  EXPECT_EQ(model.get_prompt_embedding_to_save("default").sizes(), (std::vector<int64_t>{4, 24}));
  EXPECT_EQ(std::get<0>(model.get_prompt(2)).sizes(), (std::vector<int64_t>{2, 4, 24}));
  const auto named = model.named_parameters();
  EXPECT_EQ(named.front().first, "base_model.model.embed_tokens.weight");
  EXPECT_EQ(named.back().first, "prompt_encoder.default.embedding.weight");
  EXPECT_EQ(model.get_nb_trainable_parameters().trainable, 4 * 24);
  EXPECT_THROW(model.get_layer_status(), UnsupportedError);
  EXPECT_THROW(model.merge_adapter(), UnsupportedError);
  EXPECT_THROW(model.set_requires_grad("default"), UnsupportedError);
}

TEST(Prompts, SeveralTakeTurns) {
  at::manual_seed(2);
  PeftModelForCausalLM model(golden_base("llama"), prompt(3));
  const LanguageModelInput input{.input_ids = some_ids()};
  const at::Tensor first = model.forward(input);
  EXPECT_EQ(first.size(1), 9);
  model.add_adapter("other", prompt(2));
  EXPECT_TRUE(at::equal(model.forward(input), first)) << "a new one is not active";
  model.set_adapter("other");
  EXPECT_EQ(model.forward(input).size(1), 8);
  expect_message<ConfigError>({"one active adapter at a time"}, [&] {
    model.set_adapter({"default", "other"});
  });
  expect_message<ConfigError>({"different methods"}, [&] { model.add_adapter("third", prefix()); });
  EXPECT_THROW(model.set_adapter("nobody"), NotFoundError);
  const TemporaryFolder folder("two_prompts");
  model.save_pretrained(folder.path());
  EXPECT_TRUE(std::filesystem::exists(folder.path() / "other/adapter_model.safetensors"));
  const CollectedWarnings warnings;
  model.delete_adapter("other");
  EXPECT_TRUE(warnings.tell("Setting active adapter to default"));
  EXPECT_TRUE(at::equal(model.forward(input), first));
  model.load_adapter(folder.path() / "other", "again");
  model.set_adapter("again");
  EXPECT_EQ(model.forward(input).size(1), 8);
}

TEST(Prompts, OffMeansTheBaseAndTakenOutMeansNothingIsLeft) {
  for (const PeftConfig& config : {PeftConfig(prompt()), PeftConfig(prefix())}) {
    LanguageModel base = golden_base("llama");
    const at::NoGradGuard no_grad;
    const LanguageModelInput input{.input_ids = some_ids()};
    const at::Tensor plain = base->forward(input);
    PeftModelForCausalLM model(base, config);
    EXPECT_FALSE(at::equal(model.forward(input), plain));
    {
      const auto off = model.disable_adapter();
      EXPECT_TRUE(at::equal(model.forward(input), plain));
      EXPECT_TRUE(at::equal(model.loss({.input_ids = some_ids()}, some_ids()),
                            base->loss_sum(input, some_ids()) / 5));
    }
    EXPECT_FALSE(at::equal(model.forward(input), plain));
    const LanguageModel left = model.unload();
    EXPECT_TRUE(at::equal(left->forward(input), plain));
    EXPECT_FALSE(left->named_children().contains("prompt_encoder"));
  }
}

TEST(Prompts, NobodyRunsTheModelWithoutThem) {
  auto model = get_peft_model(golden_base("llama"), prompt());
  const LanguageModelInput input{.input_ids = some_ids()};
  expect_message<UnsupportedError>({"without the prompt", "PeftModelForCausalLM"},
                                   [&] { model.forward(input); });
  EXPECT_THROW(model->hidden_states(input), UnsupportedError);
  const auto off = model.disable_adapter();
  EXPECT_NO_THROW(model.forward(input));
}

TEST(Prompts, HalfPrecisionAndOtherDevicesMoveTheEncoderToo) {
  LanguageModel base = golden_base("llama");
  PeftModelForCausalLM model(base, prefix());
  EXPECT_EQ(model.named_parameters().back().second.scalar_type(), at::kFloat);
  base->to(at::kBFloat16);
  const at::NoGradGuard no_grad;
  EXPECT_EQ(model.forward({.input_ids = some_ids()}).scalar_type(), at::kBFloat16);
  LanguageModel narrow = golden_base("llama");
  narrow->to(at::kBFloat16);
  PeftModelForCausalLM on_narrow(narrow, prompt());
  EXPECT_EQ(on_narrow.named_parameters().back().second.scalar_type(), at::kFloat);
  EXPECT_EQ(on_narrow.forward({.input_ids = some_ids()}).scalar_type(), at::kBFloat16);
}

TEST(Prompts, LoadedOnesCannotLearn) {
  const auto folder = golden_prompts("prompt_tuning");
  expect_message<ConfigError>({"is_trainable", "prompt learning"}, [&] {
    PeftModelForCausalLM::from_pretrained(golden_base("llama"), folder, {.is_trainable = true});
  });
  PeftModelForCausalLM model(golden_base("llama"), prompt());
  EXPECT_THROW(model.load_adapter(folder, "loaded", {.is_trainable = true}), ConfigError);
  EXPECT_EQ(model.peft_config().size(), 1u);
}

TEST(Prompts, RecomputedActivationsAndPrefixesExcludeEachOther) {
  LanguageModel base = golden_base("llama");
  base->set_gradient_checkpointing(true);
  expect_message<ConfigError>({"PREFIX_TUNING", "gradient checkpointing"},
                              [&] { PeftModelForCausalLM(base, prefix()); });
  base->set_gradient_checkpointing(false);
  PeftModelForCausalLM model(base, prefix());
  base->set_gradient_checkpointing(true);
  model.train();
  expect_message<ConfigError>({"PREFIX_TUNING", "gradient checkpointing"},
                              [&] { model.loss({.input_ids = some_ids()}, some_ids()); });
  PeftModelForCausalLM with_embeddings(golden_base("llama"), prompt());
  with_embeddings.get_base_model()->set_gradient_checkpointing(true);
  with_embeddings.train();
  EXPECT_NO_THROW(with_embeddings.loss({.input_ids = some_ids()}, some_ids()).backward());
}

TEST(Prompts, DamagedFilesAndThoseOfOtherModelsAreRefused) {
  const auto source = golden_prompts("prompt_tuning");
  const auto expect_refused = [&](const std::vector<std::string>& parts, const StateDict& tensors,
                                  const Json& config) {
    const TemporaryFolder folder("damaged_prompt");
    formats::write_safetensors(folder.path() / "adapter_model.safetensors", tensors);
    write_file_atomically(folder.path() / "adapter_config.json", dump_json(config));
    LanguageModel base = golden_base("llama");
    const bool learned = base->head_weight().requires_grad();
    expect_message<MismatchError>(
        parts, [&] { PeftModelForCausalLM::from_pretrained(base, folder.path()); });
    EXPECT_FALSE(base->named_children().contains("prompt_encoder"));
    EXPECT_EQ(base->head_weight().requires_grad(), learned) << "as it was";
  };
  const Json config = read_json_file(source / "adapter_config.json");
  StateDict longer, other;
  longer.set("prompt_embeddings", at::zeros({5, 24}));
  other.set("prompt_embedding", at::zeros({3, 24}));
  expect_refused({"prompt_embeddings", "[3, 24]", "[5, 24]"}, longer, config);
  expect_refused({"missing: 'prompt_embeddings'", "unexpected: 'prompt_embedding'"}, other, config);
  Json wide = config;
  wide["token_dim"] = 48;
  StateDict wider;
  wider.set("prompt_embeddings", at::zeros({3, 48}));
  expect_refused({"token_dim", "24", "48", "another model"}, wider, wide);
  Json deep = read_json_file(golden_prompts("prefix_tuning") / "adapter_config.json");
  deep["num_layers"] = 3;
  StateDict deeper;
  deeper.set("prompt_embeddings", at::zeros({3, 3 * 2 * 12}));
  expect_refused({"num_layers", "2", "3"}, deeper, deep);
}

TEST(Prompts, WrongTasksAreToldApart) {
  PeftModelForCausalLM model(
      golden_base("llama"), MultitaskPromptTuningConfig{
                                .task_type = "CAUSAL_LM", .num_virtual_tokens = 2, .num_tasks = 2});
  const LanguageModelInput input{.input_ids = some_ids()};
  expect_message<ConfigError>({"task_ids", "cannot be None"}, [&] { model.forward(input); });
  const auto with = [&](const at::Tensor& tasks) {
    return [&model, input, tasks] { model.forward(input, CausalLMCall{.task_ids = tasks}); };
  };
  expect_message<ConfigError>({"task_ids", "0 to 1"}, with(at::tensor({2}, at::kLong)));
  expect_message<ConfigError>({"task_ids", "0 to 1"}, with(at::tensor({-1}, at::kLong)));
  expect_message<ConfigError>({"task_ids", "1 rows", "got 2"}, with(at::tensor({0, 1}, at::kLong)));
  EXPECT_NO_THROW(with(at::tensor({1}, at::kLong))());
}

TEST(Prompts, PositionsAreShiftedOrLeftOut) {
  const LanguageModelInput input{.input_ids = some_ids(),
                                 .position_ids = at::arange(6).unsqueeze(0)};
  const at::NoGradGuard no_grad;
  PeftModelForCausalLM embeddings(golden_base("llama"), prompt());
  const at::Tensor plain = embeddings.forward({.input_ids = some_ids()});
  expect_warning({"Position ids are not supported"},
                 [&] { EXPECT_TRUE(at::equal(embeddings.forward(input), plain)); });
  PeftModelForCausalLM cache(golden_base("llama"), prefix());
  const CollectedWarnings warnings;
  EXPECT_TRUE(
      at::allclose(cache.forward(input), cache.forward({.input_ids = some_ids()}), 1e-5, 1e-6));
  EXPECT_TRUE(warnings.empty());
}

TEST(Prompts, WhatIsForWeightsIsRefused) {
  PeftModelForCausalLM model(golden_base("llama"), prompt());
  EXPECT_FALSE(supports_lora_conversion(model));
  EXPECT_THROW(convert_to_lora(model, int64_t{2}), UnsupportedError);
  expect_message<UnsupportedError>(
      {"inject_adapter_in_model", "PROMPT_TUNING", "PeftModelForCausalLM"},
      [] { inject_adapter_in_model(prompt(), golden_base("llama")); });
}

TEST(Prompts, RowsOfABatchHaveOnePrompt) {
  PeftModelForCausalLM model(golden_base("llama"), prompt());
  expect_message<UnsupportedError>({"adapter_names"}, [&] {
    model.forward({.input_ids = some_ids()}, std::vector<std::string>{"default"});
  });
}

// A file holds what an encoder makes; a run that goes on needs the encoder.
TEST(Prompts, ACheckpointOfARunHoldsTheWholeEncoder) {
  const PeftConfig configs[] = {
      PromptEncoderConfig{.task_type = "CAUSAL_LM", .num_virtual_tokens = 3},
      PromptTuningConfig{.task_type = "CAUSAL_LM",
                         .num_virtual_tokens = 3,
                         .modules_to_save = std::vector<std::string>{"lm_head"}}};
  for (const PeftConfig& config : configs) {
    const TemporaryFolder folder("prompt_run");
    PeftModelForCausalLM model(golden_base("llama"), config);
    {
      const at::NoGradGuard no_grad;
      for (auto& [name, tensor] : model.trainable_parameters()) tensor.normal_();
    }
    CausalLMTask task(model);
    task.save_adapter(folder.path());
    task.save_rest(folder.path());
    PeftModelForCausalLM other(golden_base("llama"), config);
    CausalLMTask(other).load_adapter(folder.path());
    const auto after = other.trainable_parameters(), before = model.trainable_parameters();
    ASSERT_EQ(after.size(), before.size());
    for (size_t i = 0; i < after.size(); ++i) {
      EXPECT_TRUE(at::equal(after[i].second, before[i].second)) << after[i].first;
    }
    PeftModelForCausalLM longer(golden_base("llama"), PromptEncoderConfig{.task_type = "CAUSAL_LM",
                                                                          .num_virtual_tokens = 5});
    expect_message<MismatchError>({"prompt_encoder.safetensors", "expected shape"},
                                  [&] { CausalLMTask(longer).load_adapter(folder.path()); });
    if (config.peft_type() != "P_TUNING") continue;
    expect_message<UnsupportedError>({"default", "a file cannot fill an encoder that learns"},
                                     [&] { other.load_state_dict(model.state_dict()); });
  }
}

TEST(KvPrefix, OfATextMakesTheModelContinueIt) {
  const LanguageModel base = golden_base("llama");
  const auto tokenizer = ChatTokenizer::open(golden_prompts("bases") / "llama");
  const std::string text = "say it in a word";
  const std::vector<int64_t> ids = tokenizer->encode(text);
  const auto count = static_cast<int64_t>(ids.size());
  PeftModelForCausalLM model(
      base, CartridgeConfig{.task_type = "CAUSAL_LM", .num_virtual_tokens = count});
  initialize_kv_prefix_from_text(model, *tokenizer, text);
  const at::NoGradGuard no_grad;
  const at::Tensor all = at::cat({at::tensor(ids, at::kLong).unsqueeze(0), some_ids()}, 1);
  expect_near(model.forward({.input_ids = some_ids()}),
              base->forward({.input_ids = all}).narrow(1, count, 6), "after the text", 1e-5);
  expect_message<ConfigError>({"at least " + std::to_string(count), "got 2"}, [&] {
    initialize_kv_prefix_from_text(model, *tokenizer, text, {.max_length = 2});
  });
  PeftModelForCausalLM other(golden_base("llama"), prompt());
  EXPECT_THROW(initialize_kv_prefix_from_text(other, *tokenizer, text), ConfigError);
  PrefixTuningConfig network = prefix();
  network.prefix_projection = true;
  PeftModelForCausalLM projected(golden_base("llama"), network);
  EXPECT_THROW(initialize_kv_prefix_from_text(projected, *tokenizer, text), UnsupportedError);
}

TEST(KvPrefix, CartridgesAreComposedOneBehindTheOther) {
  const auto source = golden_prompts("cartridge");
  const TemporaryFolder folder("composed");
  compose_cartridge_adapters({source, source}, folder.path());
  const StateDict one = read_adapter_weights(source), both = read_adapter_weights(folder.path());
  const at::Tensor prompt = one.at("prompt_embeddings");
  EXPECT_TRUE(at::equal(both.at("prompt_embeddings"), at::cat({prompt, prompt})));
  const auto config = read_adapter_config(folder.path()).as<CartridgeConfig>();
  EXPECT_EQ(config.num_virtual_tokens, 8);
  EXPECT_EQ(config.num_frozen_tokens, 1);
  auto model = PeftModelForCausalLM::from_pretrained(golden_base("llama"), folder.path());
  EXPECT_EQ(std::get<1>(model.get_prompt(1))->length(), 8);
  EXPECT_THROW(compose_cartridge_adapters({source}, folder.path()), ConfigError);
  EXPECT_THROW(compose_cartridge_adapters({source, golden_prompts("prefix_tuning")}, folder.path()),
               ConfigError);
  EXPECT_THROW(
      compose_cartridge_adapters({source, golden_prompts("cartridge_free")}, folder.path()),
      ConfigError);
}

TEST(Prompts, ConfigsAreChecked) {
  const auto refused = [](const std::vector<std::string>& parts, const PeftConfig& config) {
    expect_message<ConfigError>(parts, [&] { config.validate(); });
  };
  refused({"num_virtual_tokens", "null"}, PromptTuningConfig{});
  refused({"num_virtual_tokens", "got 0"}, prompt(0));
  refused({"task_type", "'NONSENSE'"},
          PromptTuningConfig{.task_type = "NONSENSE", .num_virtual_tokens = 1});
  refused({"prompt_tuning_init", "'NONSENSE'"},
          PromptTuningConfig{.num_virtual_tokens = 1, .prompt_tuning_init = "NONSENSE"});
  refused({"tokenizer_name_or_path"}, PromptTuningConfig{.num_virtual_tokens = 1,
                                                         .prompt_tuning_init = "TEXT",
                                                         .prompt_tuning_init_text = "a"});
  refused({"prompt_tuning_init_text"}, PromptTuningConfig{.num_virtual_tokens = 1,
                                                          .prompt_tuning_init = "TEXT",
                                                          .tokenizer_name_or_path = "a"});
  refused({"tokenizer_kwargs"},
          PromptTuningConfig{.num_virtual_tokens = 1, .tokenizer_kwargs = {{"use_fast", true}}});
  refused({"init_weights", "'one'"},
          PrefixTuningConfig{.num_virtual_tokens = 1, .init_weights = "one"});
  refused({"encoder_reparameterization_type"},
          PromptEncoderConfig{.num_virtual_tokens = 1, .encoder_reparameterization_type = "GRU"});
  refused({"num_frozen_tokens", "got 3"},
          CartridgeConfig{.num_virtual_tokens = 2, .num_frozen_tokens = 3});
  refused({"num_frozen_tokens", "got -1"},
          CartridgeConfig{.num_virtual_tokens = 2, .num_frozen_tokens = -1});
  refused({"task_type", "CAUSAL_LM"}, CPTConfig{});
  refused({"cpt_mask", "are 2", "got 1"}, CPTConfig{.task_type = "CAUSAL_LM",
                                                    .cpt_token_ids = std::vector<int64_t>{1, 2},
                                                    .cpt_mask = std::vector<int64_t>{1}});
  refused({"prompt_tuning_init_state_dict_path"},
          MultitaskPromptTuningConfig{.num_virtual_tokens = 1,
                                      .prompt_tuning_init = "EXACT_SOURCE_TASK"});
  expect_warning({"encoder_num_layers"}, [] {
    PeftModelForCausalLM(golden_base("llama"),
                         PromptEncoderConfig{.num_virtual_tokens = 1, .encoder_num_layers = 3});
  });
}

}  // namespace
}  // namespace peft
