#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

namespace peft {

/// Where the values of a base weight stay while nothing is computed with them: in a file, or in the
/// memory of another device than the one that computes. Immutable; calls may be concurrent.
class OffloadedWeight {
 public:
  virtual ~OffloadedWeight() = default;

  /// The values on the device that computes, in the weight's shape and dtype. They are freed with
  /// the returned tensor, and are not to be written to.
  virtual at::Tensor bring_in() const = 0;

  /// The same kind of place with other values in it; the values of this one stay what they are.
  /// Throws: IoError.
  virtual std::shared_ptr<const OffloadedWeight> with(const at::Tensor& values) const = 0;
};

/// Frees the storage of a weight. The tensor object, its shape, its names and its adapters stay;
/// every operator that reads it brings its values in and lets them go when it is done (what
/// autograd keeps of them it keeps). `device`: the one that the values are brought in on, which the
/// weight is then on.
///
/// Throws: ConfigError where the weight is trained, is not dense or is a view.
void offload(const at::Tensor& weight, std::shared_ptr<const OffloadedWeight> place,
             at::Device device);

/// Refills the storage of an offloaded weight; nothing happens to another one.
void bring_back(const at::Tensor& weight);

/// Where the values of an offloaded weight stay; null: the weight has them itself.
std::shared_ptr<const OffloadedWeight> offloaded(const at::Tensor& weight);

/// Gives a base weight other values, wherever it keeps them; its adapters stay.
/// Throws: IoError; the weight is then as it was.
void write_base(const at::Tensor& weight, const at::Tensor& values);

/// The values that a base weight had: a copy of them, or, of an offloaded weight, the place where
/// they stay.
class FormerValues {
 public:
  FormerValues() = default;
  explicit FormerValues(const at::Tensor& weight);

  explicit operator bool() const { return copy_.defined() || place_ != nullptr; }
  at::Tensor values() const { return place_ ? place_->bring_in() : copy_; }

  /// Gives them back to the weight, bit for bit.
  void put_back(const at::Tensor& weight) const;

 private:
  at::Tensor copy_;
  std::shared_ptr<const OffloadedWeight> place_;
};

}  // namespace peft
