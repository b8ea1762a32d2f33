#pragma once

#include <torch/nn/module.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "peft/base/json.h"
#include "peft/models/common/kv_cache.h"

namespace peft {

struct WeightSource;

/// What a model is made for: its body alone, or the body with a head.
enum class ModelTask {
  kBody,
  kCausalLM,
  kSeq2SeqLM,
  kSequenceClassification,
  kTokenClassification,
  kQuestionAnswering,
  kImageClassification,
};

/// In words, as in "sequence classification".
std::string_view task_name(ModelTask task);

/// Shape facts that adapters and generation need, as plain numbers. Those that a model has none of
/// are 0. Of an encoder-decoder `layers` and `heads` are the encoder's; `kv_heads` and `head_dim`,
/// which shape a cache, are the decoder's.
struct ModelShape {
  int64_t layers = 0, heads = 0, kv_heads = 0, head_dim = 0, hidden = 0, vocab = 0;
  int64_t embedding = 0;  // width of a token's embedding where that is not `hidden`
};

/// Layers from `first` to before `second`, several times over.
using LayerRanges = std::vector<std::pair<int64_t, int64_t>>;

/// What all base models of a checkpoint share. The names of the registered parameters are the
/// checkpoint's keys.
class PretrainedModelImpl : public torch::nn::Module {
 public:
  /// The checkpoint's config.json, as read.
  virtual const Json& config() const = 0;

  virtual ModelShape shape() const = 0;

  /// The name of the child that everything below the head is in, as "bert"; of a body without a
  /// head the name that it has below one; empty: none is known. Files of a body alone leave it out
  /// of their keys.
  virtual std::string base_model_prefix() const { return {}; }

  /// The name that a key of an older checkpoint has in this model; the key itself where it has not
  /// been renamed.
  /// Source: transformers/conversion_mapping.py.
  virtual std::string renamed_key(const std::string& key) const;

  /// Whether a checkpoint may lack a parameter, which then begins with random numbers: the head's,
  /// where the checkpoint is a body's alone.
  virtual bool may_lack(const std::string& parameter) const;

  /// Whether a checkpoint may have a key that the model has no place for, as copies of tied
  /// weights.
  virtual bool may_ignore(const std::string& key) const;

  /// Called with a checkpoint before its weights are placed, for what its config does not tell:
  /// whether the head is the embedding.
  virtual void meet(const WeightSource& checkpoint);

  /// Token ids to vectors, adapters included; positions and token types are not added.
  ///   ids [B, T] -> [B, T, hidden]
  /// Throws: UnsupportedError where the model reads no tokens.
  virtual at::Tensor embed(const at::Tensor& ids) = 0;

  /// The name of the module that scores tokens, whether the model has one of its own or not; empty:
  /// it scores none.
  virtual std::string head_name() const { return {}; }

  /// The weight of that head, [V, hidden]; tagged where an adapter or replacement is on it.
  virtual at::Tensor head_weight() const { return {}; }

  /// Gives a head that was the embedding a module of its own, as in a model that was made with
  /// tie_word_embeddings = false; config() says so from then on.  weight [V, hidden]
  /// Throws: UnsupportedError where the model has no such head.
  virtual void untie_head(const at::Tensor& weight);

  /// An empty growing cache of the right number of layers.
  /// Throws: UnsupportedError where the model takes none.
  virtual std::unique_ptr<KeyValueCache> new_cache() const;

  /// An empty cache for at most `max_length` tokens, whose memory is taken once.
  /// Throws: ConfigError where that is not positive.
  virtual std::unique_ptr<KeyValueCache> new_static_cache(int64_t max_length) const;

  /// Makes the model of the layers that the ranges name, one after the other; a layer may come
  /// several times, with weights in one memory. config(), shape() and new_cache() follow.
  /// Returns: what puts the former layers back; not to be called after the model's end.
  /// Throws: ConfigError where a range does not fit or a layer carries an adapter, UnsupportedError
  /// where the family cannot; then nothing has changed.
  virtual std::function<void()> replicate_layers(const LayerRanges& ranges);

  /// Recompute each block in backward instead of keeping its activations.
  virtual void set_gradient_checkpointing(bool on) = 0;

  /// Whether it does.
  virtual bool is_gradient_checkpointing() const { return false; }

  /// Where the model was loaded from, which the files of its adapters tell; empty: nowhere.
  const std::string& name_or_path() const { return name_or_path_; }
  void set_name_or_path(std::string path) { name_or_path_ = std::move(path); }

 private:
  std::string name_or_path_;
};
using PretrainedModel = std::shared_ptr<PretrainedModelImpl>;

}  // namespace peft
