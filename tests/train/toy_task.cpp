#include "tests/train/toy_task.h"

#include <stdlib.h>

#include <fstream>

#include "peft/base/error.h"

namespace peft::train {

namespace fs = std::filesystem;

ToyTask::ToyTask(int64_t vocabulary, double dropout)
    : weight(at::zeros({vocabulary, vocabulary}).requires_grad_()), dropout_(dropout) {}

at::Tensor ToyTask::loss_sum(const Batch& batch) {
  at::Tensor logits = at::embedding(weight, batch.input_ids);
  logits = at::dropout(logits, dropout_, training_);
  const int64_t width = batch.input_ids.size(1);
  return scale * at::cross_entropy_loss(logits.slice(1, 0, width - 1).flatten(0, 1),
                                        batch.labels.slice(1, 1, width).flatten(), {},
                                        at::Reduction::Sum, kIgnoreLabel);
}

std::vector<TrainParameter> ToyTask::parameters() {
  return {{.name = "toy.weight", .tensor = weight}};
}

void ToyTask::save_adapter(const fs::path& folder) {
  if (fail_save > 0) {
    --fail_save;
    throw IoError("disk full");
  }
  std::ofstream(folder / "adapter_config.json") << "{}";
  save_tensors(folder / "adapter_model.safetensors", {{"weight", weight.detach()}});
}

void ToyTask::load_adapter(const fs::path& folder) {
  weight.detach().copy_(load_tensors(folder / "adapter_model.safetensors").front().second);
}

void ToyTask::save_tensors(const fs::path& file, const NamedTensors& tensors) {
  c10::Dict<std::string, at::Tensor> dict;
  for (const auto& [name, tensor] : tensors) dict.insert(name, tensor);
  const auto bytes = torch::pickle_save(dict);
  std::ofstream(file, std::ios::binary)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

NamedTensors ToyTask::load_tensors(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  const std::vector<char> bytes((std::istreambuf_iterator<char>(stream)), {});
  NamedTensors tensors;
  for (const auto& entry : torch::pickle_load(bytes).toGenericDict()) {
    tensors.emplace_back(entry.key().toStringRef(), entry.value().toTensor());
  }
  return tensors;
}

TemporaryFolder::TemporaryFolder() {
  std::string name = (fs::temp_directory_path() / "peft_train_XXXXXX").string();
  path_ = ::mkdtemp(name.data());
}

TemporaryFolder::~TemporaryFolder() { fs::remove_all(path_); }

std::vector<Example> toy_rows(size_t count, int64_t vocabulary) {
  std::vector<Example> rows(count);
  for (size_t i = 0; i < count; ++i) {
    const size_t length = 3 + (i * 5) % 7;
    for (size_t t = 0; t < length; ++t) {
      rows[i].input_ids.push_back(static_cast<int64_t>((i + 3 * t) % vocabulary));
    }
    rows[i].labels = rows[i].input_ids;
  }
  return rows;
}

}  // namespace peft::train
