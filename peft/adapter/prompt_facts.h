#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "peft/base/json.h"
#include "peft/tensor/state_dict.h"

namespace peft {

/// What prompt learning has to know of a language model. Whoever knows the model fills it in.
struct PromptFacts {
  int64_t layers = 0, heads = 0, kv_heads = 0, head_dim = 0, hidden = 0, vocab = 0;
  int64_t embedding = 0;     // width of a token's embedding
  int64_t cache_layers = 0;  // that keep keys and values: of an encoder-decoder the decoder's

  /// Token ids to vectors.  ids [N] int64 -> [N, embedding].
  std::function<at::Tensor(const at::Tensor& ids)> embed = {};

  /// True where activations are computed again in backward, which a prompt in the cache forbids.
  std::function<bool()> recomputes = {};

  /// The tokens of a text, by the tokenizer of a folder or of the Hub. `kwargs`: arguments of
  /// AutoTokenizer.from_pretrained; null: none.
  std::function<std::vector<int64_t>(const std::string& tokenizer, const Json& kwargs,
                                     const std::string& text)>
      tokenize = {};

  /// The tensors of a `.safetensors` file, or of one that torch.save wrote.
  std::function<StateDict(const std::string& path)> read_tensors = {};
};

}  // namespace peft
