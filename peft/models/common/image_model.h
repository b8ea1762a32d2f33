#pragma once

#include "peft/models/common/encoder_model.h"

namespace peft {

/// One call of a model that looks at images. Legend: B images, C channels, H x W pixels.
struct ImageInput {
  at::Tensor pixel_values = {};           // [B, C, H, W]
  bool interpolate_pos_encoding = false;  // for images of another size than config.json's
};

/// The body of a model that looks at images, without a head. It reads no tokens: embed() throws.
class ImageModelImpl : public PretrainedModelImpl {
 public:
  /// Throws: ConfigError where the pixels' shape does not fit.
  virtual EncoderOutput forward(const ImageInput& input) = 0;
  /// Throws: UnsupportedError.
  at::Tensor embed(const at::Tensor& ids) override;
  /// The pooler is trained with a head, and models without one have none.
  bool may_lack(const std::string& parameter) const override;
};
using ImageModel = std::shared_ptr<ImageModelImpl>;

/// A body with a head for classes of images.
class ImageClassifierImpl : public PretrainedModelImpl {
 public:
  /// Number of labels L.
  virtual int64_t num_labels() const = 0;

  /// -> logits [B, L]
  /// Throws: ConfigError where the pixels' shape does not fit.
  virtual at::Tensor forward(const ImageInput& input) = 0;
  at::Tensor forward(const at::Tensor& pixel_values) {
    return forward(ImageInput{.pixel_values = pixel_values});
  }
  /// Throws: UnsupportedError.
  at::Tensor embed(const at::Tensor& ids) override;
  /// The head.
  bool may_lack(const std::string& parameter) const override;
};
using ImageClassifier = std::shared_ptr<ImageClassifierImpl>;

}  // namespace peft
