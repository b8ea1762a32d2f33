#pragma once

#include "cli/headed_training.h"

namespace peft::cli {

/// Trains an adapter of a model's body on pairs of texts: see EmbeddingTask.
/// Throws: what reading rows, opening the model and the trainer throw.
TrainOutcome train_embeddings(HeadedTraining training, const Console& console);

}  // namespace peft::cli
