#include "peft/adapter/prompt_encoders.h"

#include <algorithm>

#include "peft/base/error.h"
#include "peft/base/text.h"

namespace peft {
namespace {

constexpr const char* kHome = "prompt_encoder";

bool has_member(const torch::nn::Module& module, const std::string& name) {
  return module.named_children().contains(name) || module.named_parameters(false).contains(name) ||
         module.named_buffers(false).contains(name);
}

}  // namespace

std::vector<int64_t> PromptPlace::shape() const {
  std::vector<int64_t> shape = parameters.front().sizes().vec();
  for (size_t i = 1; i < parameters.size(); ++i) shape[0] += parameters[i].size(0);
  return shape;
}

void load_prompt_embeddings(BasePromptEncoder& encoder, const at::Tensor& embeddings) {
  const at::NoGradGuard no_grad;
  for (const PromptPlace& place : encoder.places()) {
    if (place.name != "prompt_embeddings") continue;
    if (!place.obstacle.empty()) throw UnsupportedError(place.obstacle);
    const std::vector<int64_t> shape = place.shape();
    if (embeddings.sizes() != at::IntArrayRef(shape)) {
      throw MismatchError("prompt_embeddings: expected shape " + shape_text(shape) + ", got " +
                          shape_text(embeddings.sizes().vec()) +
                          ". They are of another model or another number of virtual tokens.");
    }
    int64_t row = 0;
    for (const at::Tensor& parameter : place.parameters) {
      parameter.detach().copy_(embeddings.narrow(0, row, parameter.size(0)));
      row += parameter.size(0);
    }
  }
}

void PromptEncoders::add(const std::string& adapter, std::shared_ptr<BasePromptEncoder> encoder,
                         const std::shared_ptr<torch::nn::Module>& model) {
  if (!home_) {
    if (has_member(*model, kHome)) {
      throw ConfigError("model of type " + model->name() + ": the name '" + kHome +
                        "' is taken: expected it to be free for prompts, got a member of the "
                        "model. Rename that member.");
    }
    home_ = std::make_shared<SlotModule>(kHome);
    model->register_module(kHome, home_);
    model_ = model;
  }
  home_->register_module(adapter, encoder);
  encoders_.emplace_back(adapter, std::move(encoder));
}

void PromptEncoders::remove(const std::string& adapter) {
  if (find(adapter) == nullptr) return;
  home_->unregister_module(adapter);
  std::erase_if(encoders_, [&](const auto& entry) { return entry.first == adapter; });
  if (encoders_.empty()) leave();
}

void PromptEncoders::clear() {
  encoders_.clear();
  leave();
}

void PromptEncoders::leave() {
  const auto model = model_.lock();
  if (home_ && model) model->unregister_module(kHome);
  home_.reset();
}

BasePromptEncoder* PromptEncoders::find(const std::string& adapter) const {
  const auto found = std::find_if(encoders_.begin(), encoders_.end(),
                                  [&](const auto& entry) { return entry.first == adapter; });
  return found == encoders_.end() ? nullptr : found->second.get();
}

}  // namespace peft
