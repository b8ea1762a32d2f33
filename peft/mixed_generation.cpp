#include "peft/mixed_generation.h"

namespace peft {

GenerateOptions follow_rows(MixedBatch& mixed, const GenerateOptions& options) {
  GenerateOptions with_rows = options;
  with_rows.on_rows = [&mixed, &options,
                       batch = std::vector<int64_t>()](const std::vector<int64_t>& rows) mutable {
    if (rows != batch) mixed.keep_rows(rows);
    batch = rows;
    if (options.on_rows) options.on_rows(rows);
  };
  return with_rows;
}

}  // namespace peft
