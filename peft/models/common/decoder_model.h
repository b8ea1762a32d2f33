#pragma once

#include <torch/nn/modules/container/modulelist.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "peft/models/common/attention.h"
#include "peft/models/common/encoder_model.h"
#include "peft/models/common/language_model.h"
#include "peft/models/common/rope.h"

/// What decoders share, under whatever names a family gives its parts.
/// Legend: B rows, T new tokens, S tokens in the cache, E width of the embedding, V vocabulary.
namespace peft {

/// What all blocks of one forward see.
struct DecoderContext {
  RotaryAngles angles = {};  // of families with rotary positions
  AttentionMask full = {}, sliding = {};
  KeyValueCache* cache = nullptr;  // not owned
};

/// One layer of a decoder.
class DecoderBlockImpl : public torch::nn::Module {
 public:
  /// x [B, T, hidden] -> the same shape
  virtual at::Tensor forward(const at::Tensor& x, const DecoderContext& context) = 0;
};
using DecoderBlock = std::shared_ptr<DecoderBlockImpl>;

/// Makes layer number `index`, which is what the config says of layer `like`: the same number,
/// except where layers are stacked again.
using MakeDecoderBlock =
    std::function<DecoderBlock(int64_t index, int64_t like, at::TensorOptions options)>;

/// A decoder without a head, as LlamaModel. A family gives it an embedding, blocks and what comes
/// before and after them.
class DecoderModelImpl : public EncoderModelImpl {
 public:
  /// `prefix`: the name that it has below a head.
  DecoderModelImpl(Json config, std::string prefix)
      : prefix_(std::move(prefix)), stack_{.json = std::move(config)} {}

  /// Hidden states after the last norm, on the model's device.  -> [B, T, E]
  /// Throws: ConfigError where neither or both of input_ids and inputs_embeds are given.
  at::Tensor hidden_states(const LanguageModelInput& input);

  /// The same; token types count where the family has them.
  EncoderOutput forward(const EncoderInput& input) override;

  /// The weight of the embedding, [V, E]; tagged where an adapter is on it.
  virtual const at::Tensor& embedding_weight() const = 0;

  at::Tensor embed(const at::Tensor& ids) override;
  std::unique_ptr<KeyValueCache> new_cache() const override;
  const Json& config() const override { return stack_.json; }
  std::string base_model_prefix() const override { return prefix_; }
  void set_gradient_checkpointing(bool on) override { checkpointing_ = on; }
  bool is_gradient_checkpointing() const override { return checkpointing_; }

  std::function<void()> replicate_layers(const LayerRanges& ranges) override;

  /// Makes config() say so.
  void set_config(const std::string& key, Json value) { stack_.json[key] = std::move(value); }

 protected:
  /// Where the blocks hang and how they are made.
  struct Layers {
    torch::nn::Module& owner;
    std::string name = "layers";
    std::string count_key = "num_hidden_layers";  // in config.json
    MakeDecoderBlock make = {};
  };
  /// Registers blocks; called once, in the order of the checkpoint's parts.
  void add_layers(const Layers& layers, int64_t count, at::TensorOptions options);
  /// Tells the row of the embedding that gets no gradient: pad_token_id's, which torch counts from
  /// the table's end where it is negative.
  void set_padding_row(std::optional<int64_t> pad_token_id);
  int64_t layer_count() const { return static_cast<int64_t>(stack_.blocks.size()); }

  /// What the first block reads.  embeds [B, T, E] -> [B, T, hidden]
  virtual at::Tensor before_blocks(const at::Tensor& embeds, const LanguageModelInput& input) = 0;
  /// What the head reads.  x [B, T, hidden] -> [B, T, E]
  virtual at::Tensor after_blocks(const at::Tensor& x) = 0;
  /// What the blocks see: here the full mask and the cache.
  virtual DecoderContext make_context(const LanguageModelInput& input,
                                      const at::Tensor& embeds) const;
  /// Whether a block is left out of this forward, in training.
  virtual bool drops_layer() const { return false; }

 private:
  struct Stack {
    torch::nn::ModuleList layers = {};
    std::vector<DecoderBlock> blocks = {};
    std::vector<int64_t> likes = {};
    Json json = {};  // config.json
  };
  void use(const Stack& stack);

  std::string prefix_, layers_name_, count_key_;
  torch::nn::Module* owner_ = nullptr;  // this or a child
  MakeDecoderBlock make_;
  Stack stack_;
  int64_t padding_row_ = -1;  // none
  bool checkpointing_ = false;
};
using DecoderModel = std::shared_ptr<DecoderModelImpl>;

/// Whether a key is of the rotary frequencies, which each layer of old checkpoints has.
/// Source: PreTrainedModel._adjust_missing_and_unexpected_keys in transformers.
bool is_rotary_buffer(const std::string& key);

/// The positions of a call's tokens: those given, or counted from the cache's length.
///   embeds [B, T, E] -> [B or 1, T] int64
at::Tensor token_positions(const LanguageModelInput& input, const at::Tensor& embeds);

/// Rows of a table of learned positions.  positions [B or 1, T], weight [P, C] -> [B or 1, T, C]
/// Throws: ConfigError where a position is not in the table.
at::Tensor embed_positions(const at::Tensor& positions, const at::Tensor& weight);

/// What decides the mask of a call.
AttentionMaskInput attention_mask_input(const LanguageModelInput& input, const at::Tensor& embeds);

}  // namespace peft
