#include "peft/models/common/seq2seq_model.h"

namespace peft {

void Seq2SeqCache::select_rows(const at::Tensor& rows) {
  if (self_attention) self_attention->select_rows(rows);
  if (cross_attention) cross_attention->select_rows(rows);
}

}  // namespace peft
