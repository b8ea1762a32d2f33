#pragma once

#include <memory>
#include <string>

#include "peft/adapter_task.h"
#include "peft/peft_model_for_feature_extraction.h"
#include "peft/sentence_embedding.h"
#include "peft/task_meter.h"

namespace peft {

/// Trains an adapter of a model's body on pairs of texts, so that the vectors of texts that belong
/// together come close. Rows with a number learn it as the cosine of their texts; of rows without
/// one, the second texts of the other rows in the batch are what a first text must tell its own
/// from.
///
/// Source: CosineSimilarityLoss and MultipleNegativesRankingLoss in sentence_transformers/losses.
class EmbeddingTask final : public AdapterTask {
 public:
  /// `adapter` has to be active and trainable.
  EmbeddingTask(PeftModelForFeatureExtraction model, const Pooling& pooling,
                const std::string& adapter = "default");

  /// Throws: ConfigError for a batch without second texts.
  at::Tensor loss_sum(const train::Batch& batch) override;
  void begin_evaluation() override { meter_.reset(); }
  /// "mse" of the cosines, or "accuracy" of finding the own second text among those of the batch.
  train::Metrics metrics() override;

 private:
  at::Tensor vectors(const at::Tensor& ids, const at::Tensor& mask, const at::Tensor& task_ids);

  PeftModelForFeatureExtraction model_;
  Pooling pooling_;
  std::unique_ptr<TaskMeter> meter_;  // null: nothing was measured yet
};

}  // namespace peft
