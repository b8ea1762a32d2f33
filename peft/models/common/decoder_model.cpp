#include "peft/models/common/decoder_model.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <utility>

#include "peft/base/error.h"
#include "peft/models/common/checkpointing.h"
#include "peft/models/common/growing_cache.h"
#include "peft/models/common/stack_layers.h"

namespace peft {
namespace {

// What a list that has an entry for each layer says of the layers in their new order.
void reorder_layer_types(Json& config, const std::vector<int64_t>& order, size_t layers) {
  const auto types = config.find("layer_types");
  if (types == config.end() || !types->is_array() || types->size() != layers) return;
  Json next = Json::array();
  for (const int64_t from : order) next.push_back(types->at(static_cast<size_t>(from)));
  *types = std::move(next);
}

}  // namespace

bool is_rotary_buffer(const std::string& key) {
  return key.find("rotary_emb.inv_freq") != std::string::npos;
}

at::Tensor token_positions(const LanguageModelInput& input, const at::Tensor& embeds) {
  if (input.position_ids.defined()) return input.position_ids;
  const auto past = input.cache == nullptr ? 0 : input.cache->length();
  return at::arange(past, past + embeds.size(1), embeds.device()).unsqueeze(0);
}

at::Tensor embed_positions(const at::Tensor& positions, const at::Tensor& weight) {
  if (positions.numel() > 0) {
    const auto [least, most] = at::aminmax(positions);
    if (least.item<int64_t>() < 0 || most.item<int64_t>() >= weight.size(0)) {
      throw ConfigError(
          fmt::format("language model: position out of range: expected 0 to {}, for which the "
                      "model has learned "
                      "embeddings, got {} to {}. Shorten the text.",
                      weight.size(0) - 1, least.item<int64_t>(), most.item<int64_t>()));
    }
  }
  return at::embedding(weight, positions);
}

AttentionMaskInput attention_mask_input(const LanguageModelInput& input, const at::Tensor& embeds) {
  return {.batch = embeds.size(0),
          .queries = embeds.size(1),
          .past = input.cache == nullptr ? 0 : input.cache->length(),
          .padding = input.attention_mask,
          .position_ids = input.cache == nullptr ? input.position_ids : at::Tensor(),
          .options = embeds.options().requires_grad(false)};
}

void DecoderModelImpl::add_layers(const Layers& layers, int64_t count, at::TensorOptions options) {
  owner_ = &layers.owner;
  layers_name_ = layers.name;
  count_key_ = layers.count_key;
  make_ = layers.make;
  for (int64_t i = 0; i < count; ++i) {
    const auto block = make_(i, i, options);
    stack_.layers->push_back(block);
    stack_.blocks.push_back(block);
    stack_.likes.push_back(i);
  }
  owner_->register_module(layers_name_, stack_.layers);
}

at::Tensor DecoderModelImpl::embed(const at::Tensor& ids) {
  return at::embedding(embedding_weight(), ids, padding_row_);
}

void DecoderModelImpl::set_padding_row(std::optional<int64_t> pad_token_id) {
  const auto rows = embedding_weight().size(0);
  if (!pad_token_id || *pad_token_id < -rows || *pad_token_id >= rows) return;
  padding_row_ = *pad_token_id < 0 ? *pad_token_id + rows : *pad_token_id;
}

std::unique_ptr<KeyValueCache> DecoderModelImpl::new_cache() const {
  return std::make_unique<GrowingCache>(layer_count());
}

DecoderContext DecoderModelImpl::make_context(const LanguageModelInput& input,
                                              const at::Tensor& embeds) const {
  return {.full = make_attention_mask(attention_mask_input(input, embeds)), .cache = input.cache};
}

at::Tensor DecoderModelImpl::hidden_states(const LanguageModelInput& given) {
  check_one_of(given.input_ids, given.inputs_embeds, "language model: input_ids and inputs_embeds");
  const LanguageModelInput input = given.to(embedding_weight().device());
  const auto embeds = input.input_ids.defined() ? embed(input.input_ids) : input.inputs_embeds;
  const auto context = make_context(input, embeds);  // checks the mask's shape
  auto x = before_blocks(embeds, input);
  const bool recompute = checkpointing_ && input.cache == nullptr && is_training();
  for (const auto& block : stack_.blocks) {
    if (is_training() && drops_layer()) continue;
    const auto run = [block, context](const at::Tensor& y) { return block->forward(y, context); };
    x = recompute ? checkpoint(run, x) : run(x);
  }
  return after_blocks(x);
}

EncoderOutput DecoderModelImpl::forward(const EncoderInput& input) {
  refuse_target(input);
  return {.last_hidden_state = hidden_states({.input_ids = input.input_ids,
                                              .inputs_embeds = input.inputs_embeds,
                                              .attention_mask = input.attention_mask,
                                              .position_ids = input.position_ids,
                                              .cache = input.cache})};
}

void DecoderModelImpl::use(const Stack& stack) {
  owner_->replace_module(layers_name_, stack.layers.ptr());
  stack_ = stack;
}

std::function<void()> DecoderModelImpl::replicate_layers(const LayerRanges& ranges) {
  const auto order = stacked_order(ranges, layer_count());
  const Stack former = stack_;
  Stack next{.json = former.json};
  next.json[count_key_] = order.size();
  reorder_layer_types(next.json, order, former.blocks.size());
  for (size_t i = 0; i < order.size(); ++i) {
    const auto from = static_cast<size_t>(order[i]);
    const auto& source = former.blocks[from];
    const auto block = make_(static_cast<int64_t>(i), former.likes[from],
                             source->parameters().front().options().requires_grad(false));
    share_parameters(source, block);
    block->train(source->is_training());
    next.layers->push_back(block);
    next.blocks.push_back(block);
    next.likes.push_back(former.likes[from]);
  }
  next.layers->train(former.layers->is_training());
  use(next);
  return [this, former] { use(former); };
}

}  // namespace peft
