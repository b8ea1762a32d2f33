#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "peft/adapter/adapter_rows.h"
#include "peft/adapter/config.h"
#include "peft/adapter/layer.h"
#include "peft/adapter/site.h"
#include "peft/adapter/slots.h"

namespace peft {

/// What a new adapter asks of the base weight.
struct BaseChange {
  at::Tensor weight = {};           // the weight's new values; undefined: it stays as it is
  std::function<void()> done = {};  // to be called once the adapter is in the model; may be empty
};

/// What the adapters of one method do at one site, and the book-keeping that all methods share:
/// which adapters there are, which are active, merged or switched off.
///
/// Source: BaseTunerLayer in peft/tuners/tuners_utils.py.
class TunerLayer : public AdapterLayer {
 public:
  explicit TunerLayer(Site site)
      : site_(std::move(site)), parameter_name_(site_.full_name()), slots_(site_.slot_path) {}

  const Site& site() const { return site_; }
  AdapterSlots& slots() { return slots_; }
  const AdapterSlots& slots() const { return slots_; }

  // What a method implements.

  /// Creates the parameters of a new adapter in `dtype`.
  /// Throws: ConfigError or UnsupportedError where the config does not fit the site; then nothing
  /// has changed.
  virtual void add(const std::string& adapter, const PeftConfig& config, at::ScalarType dtype) = 0;
  /// Gives a new adapter, just added, the values that depend on the base weight. Only the adapter
  /// itself is written; `weight` is the plain base weight.
  /// Throws: ConfigError where the config does not fit the weight.
  virtual BaseChange initialise(const std::string& adapter, const PeftConfig& config,
                                const at::Tensor& weight);
  /// Lets an adapter, just added, have the parameters of the one of this name at an embedding whose
  /// weight is this site's too: the same memory, turned around, with gradients of its own. What it
  /// begins with is what this site would begin with.
  /// Throws: UnsupportedError where the method or the config has no such thing.
  virtual void tie(const std::string& adapter, const PeftConfig& config,
                   const TunerLayer& embedding);
  /// Takes an adapter away; unknown names are ignored.
  virtual void remove(const std::string& adapter) = 0;
  virtual bool has(const std::string& adapter) const = 0;

  /// The change of one adapter to the weight, in the weight's shape.
  virtual at::Tensor delta_of(const std::string& adapter, const at::Tensor& weight) const = 0;
  /// Whether that change depends on what other adapters have made of the weight before, as where
  /// an adapter scales the whole weight.
  virtual bool builds_on_others(const std::string& adapter) const;
  /// The change to a weight that other adapters have changed before; `base` is the weight without
  /// any. The same as delta_of(adapter, base) unless builds_on_others.
  virtual at::Tensor delta_after(const std::string& adapter, const at::Tensor& weight,
                                 const at::Tensor& base) const;
  /// The whole weight after one adapter, where that replaces values rather than adds to them;
  /// undefined: it adds delta_after.
  virtual at::Tensor weight_after(const std::string& adapter, const at::Tensor& weight) const;
  /// The change of one adapter to the bias; undefined: none.
  virtual at::Tensor bias_delta_of(const std::string& adapter) const;
  /// Why an adapter cannot be folded into the weight; empty: it can.
  virtual std::string merge_obstacle(const std::string& adapter) const;
  /// Why it cannot be folded in after these others; empty: it can.
  virtual std::string merge_conflict(const std::string& adapter,
                                     const std::vector<std::string>& before) const;

  /// Why an adapter cannot serve some rows of a batch beside others; empty: it can.
  virtual std::string mixed_batch_obstacle(const std::string& adapter) const;

  // What the machinery asks for.

  const std::vector<std::string>& active_adapters() const { return active_; }
  /// Which adapters run, in this order; those that the site lacks are passed over.
  void set_active(std::vector<std::string> adapters);
  /// One adapter a row in the place of the active ones, while it is not null.
  void set_rows(std::shared_ptr<const AdapterRows> rows);
  /// To be called after an adapter was added or removed.
  void refresh();
  /// Takes device and type of the weight into site(): the model may have been moved or converted.
  void follow(const at::Tensor& weight);
  void set_enabled(bool enabled) { enabled_ = enabled; }
  bool enabled() const { return enabled_; }
  std::vector<std::string>& merged_adapters() { return merged_; }
  const std::vector<std::string>& merged_adapters() const { return merged_; }

  // AdapterLayer.

  const std::string& parameter_name() const final { return parameter_name_; }
  bool active() const final { return enabled_ && merged_.empty() && !present_.empty(); }
  bool trainable() const final;
  /// The sum over the active adapters.
  at::Tensor delta(const at::Tensor& weight) const final;

 protected:
  /// The active adapters that this site has, in their order; those of rows() where each row has its
  /// own.
  const std::vector<std::string>& present_adapters() const { return present_; }

  /// Which adapter each row has; null: the active ones serve every row.
  const AdapterRows* rows() const { return rows_.get(); }

  /// Called when present_adapters() or rows() has changed: a method keeps what its hot path needs.
  virtual void present_adapters_changed() {}

 private:
  Site site_;
  std::string parameter_name_;
  AdapterSlots slots_;
  std::vector<std::string> active_, present_, merged_;
  bool enabled_ = true;
  std::shared_ptr<const AdapterRows> rows_;
};

}  // namespace peft
