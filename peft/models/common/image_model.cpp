#include "peft/models/common/image_model.h"

#include <ATen/ATen.h>

#include "peft/base/error.h"

namespace peft {
namespace {

[[noreturn]] void refuse_tokens(const PretrainedModelImpl& model) {
  throw UnsupportedError("embedding of tokens: expected a model that reads tokens, got " +
                         model.name() + ", which looks at images. Prompts do not fit it.");
}

}  // namespace

at::Tensor ImageModelImpl::embed(const at::Tensor& /*ids*/) { refuse_tokens(*this); }

at::Tensor ImageClassifierImpl::embed(const at::Tensor& /*ids*/) { refuse_tokens(*this); }

bool ImageModelImpl::may_lack(const std::string& parameter) const {
  return parameter.starts_with("pooler.");
}

bool ImageClassifierImpl::may_lack(const std::string& parameter) const {
  return !parameter.starts_with(base_model_prefix() + ".");
}

}  // namespace peft
