#pragma once

#include <torch/nn/module.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "peft/adapter/prompt_encoder.h"
#include "peft/adapter/slots.h"

namespace peft {

/// The prompt encoders of a model, one an adapter. They are children of the model under Python's
/// names, `prompt_encoder.<adapter>`, so that they move, train and are counted with it.
///
/// Source: PeftModel.prompt_encoder in peft/peft_model.py.
class PromptEncoders {
 public:
  /// Throws: ConfigError where the model has a member of that name.
  void add(const std::string& adapter, std::shared_ptr<BasePromptEncoder> encoder,
           const std::shared_ptr<torch::nn::Module>& model);
  /// Nothing where the adapter has none.
  void remove(const std::string& adapter);
  void clear();

  /// Null: the adapter has none.
  BasePromptEncoder* find(const std::string& adapter) const;
  bool empty() const { return encoders_.empty(); }

  using Encoders = std::vector<std::pair<std::string, std::shared_ptr<BasePromptEncoder>>>;
  const Encoders& all() const { return encoders_; }

 private:
  void leave();

  Encoders encoders_;
  std::shared_ptr<SlotModule> home_;
  std::weak_ptr<torch::nn::Module> model_;
};

}  // namespace peft
