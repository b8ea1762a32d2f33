// Prefix tuning on a transformer of one's own: all that it takes is peft::LanguageModelImpl.

#include <torch/torch.h>

#include <iostream>

#include "peft/models/common/growing_cache.h"
#include "peft/peft.h"

constexpr int64_t kTokens = 12, kUp = 10, kDown = 11, kWidth = 32, kHeads = 4;

// One layer of attention that reads numbers and two signs, up and down.
struct CounterImpl : peft::LanguageModelImpl {
  CounterImpl() {
    tokens = register_module("tokens", torch::nn::Embedding(kTokens, kWidth));
    places = register_module("places", torch::nn::Embedding(64, kWidth));
    qkv = register_module("qkv", torch::nn::Linear(kWidth, 3 * kWidth));
    mix = register_module("mix", torch::nn::Linear(kWidth, 4 * kWidth));
    out = register_module("out", torch::nn::Linear(4 * kWidth, kWidth));
    lm_head = register_module("lm_head", torch::nn::Linear(kWidth, kTokens));
  }
  torch::Tensor hidden_states(const peft::LanguageModelInput& input) override {
    auto x = input.inputs_embeds.defined() ? input.inputs_embeds : embed(input.input_ids);
    const auto fresh = x.size(1), past = input.cache ? input.cache->length() : 0;
    x = x + places(torch::arange(past, past + fresh));
    const auto heads = qkv(x).view({x.size(0), fresh, 3, kHeads, -1}).permute({2, 0, 3, 1, 4});
    auto keys = heads[1], values = heads[2];
    if (input.cache) std::tie(keys, values) = input.cache->append(0, keys, values);
    const auto seen = torch::ones({fresh, past + fresh}, torch::kBool).tril(past);
    const auto read = at::scaled_dot_product_attention(heads[0], keys, values, seen);
    x = x + read.transpose(1, 2).flatten(2);
    return x + out(torch::relu(mix(x)));
  }
  torch::Tensor head(const torch::Tensor& hidden) override { return lm_head(hidden); }
  torch::Tensor head_weight() const override { return lm_head->weight; }
  void untie_head(const torch::Tensor&) override {}
  torch::Tensor embed(const torch::Tensor& ids) override { return tokens(ids); }
  std::unique_ptr<peft::KeyValueCache> new_cache() const override {
    return std::make_unique<peft::GrowingCache>(1);
  }
  peft::ModelShape shape() const override {
    return {.layers = 1,
            .heads = kHeads,
            .kv_heads = kHeads,
            .head_dim = kWidth / kHeads,
            .hidden = kWidth,
            .vocab = kTokens};
  }
  const peft::Json& config() const override { return nothing; }
  void set_gradient_checkpointing(bool) override {}

  torch::nn::Embedding tokens{nullptr}, places{nullptr};
  torch::nn::Linear qkv{nullptr}, mix{nullptr}, out{nullptr}, lm_head{nullptr};
  peft::Json nothing = peft::Json::object();
};

// Numbers that count up or down, behind their sign where one is wanted.
torch::Tensor rows(int64_t count, bool down, bool with_sign) {
  const auto steps = torch::arange(8) * (down ? -1 : 1);
  const auto numbers = (torch::randint(0, 10, {count, 1}) + steps).remainder(10);
  if (!with_sign) return numbers;
  return torch::cat({torch::full({count, 1}, down ? kDown : kUp, torch::kLong), numbers}, 1);
}

torch::Tensor next_token_loss(const torch::Tensor& logits, const torch::Tensor& ids) {
  const auto known = ids.size(1) - 2;  // the first number follows from nothing
  return torch::nn::functional::cross_entropy(logits.narrow(1, 1, known).flatten(0, 1),
                                              ids.narrow(1, 2, known).flatten());
}

int main() {
  torch::manual_seed(0);
  const auto base = std::make_shared<CounterImpl>();
  torch::optim::AdamW first(base->parameters(), torch::optim::AdamWOptions(1e-2));
  for (int step = 0; step < 150; ++step) {
    first.zero_grad();
    for (const bool down : {false, true}) {
      const auto ids = rows(32, down, true);
      next_token_loss(base->forward({.input_ids = ids}), ids).backward();
    }
    first.step();
  }

  // A prefix takes the place of the sign: rows without one count down.
  peft::PeftModelForCausalLM model(
      base, peft::PrefixTuningConfig{.task_type = "CAUSAL_LM", .num_virtual_tokens = 4});
  model.print_trainable_parameters();
  std::vector<torch::Tensor> learning;
  for (auto& [name, tensor] : model.trainable_parameters()) learning.push_back(tensor);
  torch::optim::AdamW optimizer(learning, torch::optim::AdamWOptions(5e-2));
  for (int step = 0; step < 200; ++step) {
    const auto ids = rows(32, true, false);
    optimizer.zero_grad();
    model.loss({.input_ids = ids}, ids).backward();
    optimizer.step();
  }
  model.save_pretrained("counter_prefix");
  std::cout << "7 goes on with";
  const auto answer = model.generate({{7}}, {.max_new_tokens = 4}).front();
  for (const auto token : answer.tokens) std::cout << ' ' << token;
  std::cout << '\n';
}
