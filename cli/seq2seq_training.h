#pragma once

#include "cli/headed_training.h"

namespace peft::cli {

/// Trains an adapter of an encoder-decoder on rows with a source and a target: see Seq2SeqTask.
/// Throws: what reading rows, opening the model and the trainer throw.
TrainOutcome train_seq2seq(HeadedTraining training, const Console& console);

}  // namespace peft::cli
