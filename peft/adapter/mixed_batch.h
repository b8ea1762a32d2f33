#pragma once

#include <memory>
#include <string>
#include <vector>

#include "peft/adapter/adapter_rows.h"
#include "peft/adapter/tuner.h"

namespace peft {

/// While it lives each row of a batch is served by the adapter that is named for it, `__base__` by
/// none; which adapters are active does not matter. Scopes may be nested: the inner one counts.
/// The base's products are made once for all rows. Adapters must not be added, changed or removed
/// meanwhile. For inference; gradients flow where they are recorded.
///
/// Source: _enable_peft_forward_hooks in peft/tuners/lora/model.py, _mixed_batch_forward in
/// peft/tuners/lora/layer.py and peft/utils/other.py.
class [[nodiscard]] MixedBatch {
 public:
  /// `adapter_names`: one a row.
  /// Throws: ConfigError in training mode and where adapters are merged; NotFoundError for a name
  /// that no adapter has; UnsupportedError where an adapter is on a layer, or of a kind, that takes
  /// no mixed batch. The model is then as it was.
  MixedBatch(std::shared_ptr<Tuner> tuner, const std::vector<std::string>& adapter_names);
  MixedBatch(const MixedBatch&) = delete;
  MixedBatch& operator=(const MixedBatch&) = delete;
  ~MixedBatch();

  /// From now on the batch has these rows, numbered as in `adapter_names`, in this order.
  void keep_rows(const std::vector<int64_t>& rows);

 private:
  std::shared_ptr<Tuner> tuner_;
  std::shared_ptr<const AdapterRows> all_, before_;
};

}  // namespace peft
