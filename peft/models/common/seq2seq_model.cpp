#include "peft/models/common/seq2seq_model.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "peft/base/error.h"
#include "peft/models/common/growing_cache.h"
#include "peft/models/common/linear_cross_entropy.h"
#include "peft/models/common/static_cache.h"

namespace peft {
namespace {

constexpr int64_t kNoLabel = -100;

void check_labels(const at::Tensor& hidden, const at::Tensor& labels) {
  if (labels.dim() == 2 && labels.size(0) == hidden.size(0) && labels.size(1) == hidden.size(1)) {
    return;
  }
  throw ConfigError(
      fmt::format("loss: labels do not fit the target: expected [{}, {}], one label for each token "
                  "that the decoder reads, got [{}].",
                  hidden.size(0), hidden.size(1), fmt::join(labels.sizes(), ", ")));
}

bool adds_nothing(const at::Tensor& bias) {
  return !bias.defined() || bias.eq(0).all().item<bool>();
}

}  // namespace

void Seq2SeqCache::select_rows(const at::Tensor& rows) {
  if (self_attention) self_attention->select_rows(rows);
  if (cross_attention) cross_attention->select_rows(rows);
}

Seq2SeqInput Seq2SeqInput::to(at::Device device) const {
  const auto there = [&](const at::Tensor& tensor) {
    return tensor.defined() ? tensor.to(device) : tensor;
  };
  return {.encoder = encoder.to(device),
          .encoder_states = there(encoder_states),
          .decoder_input_ids = there(decoder_input_ids),
          .decoder_inputs_embeds = there(decoder_inputs_embeds),
          .decoder_attention_mask = there(decoder_attention_mask),
          .cache = cache};
}

bool Seq2SeqInput::knows_source() const {
  return cache != nullptr && cache->cross_attention && cache->cross_attention->length() > 0;
}

bool Seq2SeqModelImpl::may_ignore(const std::string& key) const {
  return key == head_name() + ".weight";
}

std::unique_ptr<KeyValueCache> Seq2SeqModelImpl::new_cache() const {
  return std::make_unique<GrowingCache>(decoder_layers());
}

std::unique_ptr<KeyValueCache> Seq2SeqModelImpl::new_static_cache(int64_t max_length) const {
  return std::make_unique<StaticCache>(decoder_layers(), max_length);
}

std::unique_ptr<Seq2SeqCache> Seq2SeqModelImpl::new_seq2seq_cache(int64_t max_length) const {
  auto cache = std::make_unique<Seq2SeqCache>();
  cache->self_attention = max_length > 0 ? new_static_cache(max_length) : new_cache();
  cache->cross_attention = std::make_unique<GrowingCache>(decoder_layers());
  return cache;
}

at::Tensor Seq2SeqModelImpl::loss_sum(const Seq2SeqInput& given, const at::Tensor& labels) {
  auto input = given;
  if (!input.decoder_input_ids.defined() && !input.decoder_inputs_embeds.defined()) {
    input.decoder_input_ids = shift_right(labels);
  }
  const auto hidden = decode(input);
  check_labels(hidden, labels);
  const auto flat = labels.reshape({-1}).to(hidden.device());
  if (!adds_nothing(head_bias())) {
    const auto logits = head(hidden).to(at::kFloat);
    return at::cross_entropy_loss(logits.reshape({-1, logits.size(-1)}), flat, {},
                                  at::Reduction::Sum, kNoLabel);
  }
  const auto rows = flat.ne(kNoLabel).nonzero().squeeze(1);
  return linear_cross_entropy_sum(hidden.reshape({-1, hidden.size(-1)}), head_weight(), rows,
                                  flat.index_select(0, rows));
}

int64_t known_start_token(std::optional<int64_t> decoder_start_token_id) {
  if (decoder_start_token_id) return *decoder_start_token_id;
  throw ConfigError(
      "config.json: decoder_start_token_id: expected the token that targets begin with, got none. "
      "T5 uses pad_token_id for it.");
}

at::Tensor shift_tokens_right(const at::Tensor& labels, std::optional<int64_t> padding,
                              std::optional<int64_t> start) {
  const auto first = known_start_token(start);
  if (!padding) {
    throw ConfigError(
        "config.json: pad_token_id: expected the token that stands where there is no label, got "
        "none.");
  }
  auto shifted = at::full_like(labels, first);
  const auto length = labels.size(-1);
  if (length > 1) shifted.narrow(-1, 1, length - 1).copy_(labels.narrow(-1, 0, length - 1));
  return shifted.masked_fill_(shifted.eq(kNoLabel), *padding);
}

AttentionMask encoder_mask(const EncoderInput& input, const at::Tensor& embedded) {
  return make_bidirectional_mask({.batch = embedded.size(0),
                                  .queries = embedded.size(1),
                                  .padding = input.attention_mask,
                                  .options = embedded.options().requires_grad(false)});
}

std::pair<AttentionMask, AttentionMask> decoder_masks(const Seq2SeqInput& input,
                                                      const at::Tensor& states,
                                                      const at::Tensor& embedded) {
  AttentionMaskInput own{.batch = embedded.size(0),
                         .queries = embedded.size(1),
                         .padding = input.decoder_attention_mask,
                         .options = embedded.options().requires_grad(false)};
  if (input.cache != nullptr) own.past = input.cache->self_attention->length();
  auto source = own;
  source.past = 0;
  source.queries = states.defined() ? states.size(1) : input.cache->cross_attention->length();
  source.padding = input.encoder.attention_mask;
  return {make_attention_mask(own), make_bidirectional_mask(source)};
}

}  // namespace peft
