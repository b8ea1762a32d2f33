#include "tests/models/golden_file.h"

#include <torch/torch.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>

#include "peft/models/registry.h"

namespace peft::test {
namespace {

const std::string kWeight = "weight/";

at::ScalarType scalar_type(const std::string& word) {
  if (word == "F32") return at::kFloat;
  if (word == "BF16") return at::kBFloat16;
  if (word == "I64") return at::kLong;
  throw std::runtime_error("golden file: dtype " + word);
}

}  // namespace

const at::Tensor& GoldenFile::operator[](const std::string& name) const { return tensors.at(name); }

WeightSource GoldenFile::weights() const {
  WeightSource source;
  for (const auto& [name, tensor] : tensors) {
    if (!name.starts_with(kWeight)) continue;
    source.entries.push_back({name.substr(kWeight.size()), tensor.sizes().vec()});
  }
  source.read = [this](const std::string& name, at::ScalarType wanted) {
    return tensors.at(kWeight + name).to(wanted);
  };
  return source;
}

GoldenFile GoldenFile::read(const std::string& room, const std::string& name) {
  return open(std::string(PEFT_SOURCE_DIR "/tests/") + room + "/golden/" + name + ".safetensors");
}

GoldenFile GoldenFile::open(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) throw std::runtime_error("golden file: cannot open " + path);
  uint64_t size = 0;
  stream.read(reinterpret_cast<char*>(&size), sizeof(size));
  std::string header(size, '\0');
  stream.read(header.data(), static_cast<std::streamsize>(size));
  const std::string bytes((std::istreambuf_iterator<char>(stream)), {});
  GoldenFile file;
  const auto json = Json::parse(header);
  for (const auto& [key, entry] : json.items()) {
    if (key == "__metadata__") {
      file.metadata = entry.get<std::map<std::string, std::string>>();
      if (entry.contains("config")) file.config = Json::parse(file.metadata["config"]);
      if (entry.contains("new_config")) file.new_config = Json::parse(file.metadata["new_config"]);
      continue;
    }
    const auto shape = entry["shape"].get<std::vector<int64_t>>();
    auto tensor = at::empty(shape, scalar_type(entry["dtype"].get<std::string>()));
    std::memcpy(tensor.data_ptr(), bytes.data() + entry["data_offsets"][0].get<size_t>(),
                tensor.nbytes());
    file.tensors.emplace(key, tensor);
  }
  return file;
}

LanguageModel golden_model(const GoldenFile& file, at::ScalarType dtype) {
  return golden_model(file, file.config, dtype);
}

LanguageModel golden_model(const GoldenFile& file, const Json& config, at::ScalarType dtype) {
  auto model = make_language_model(config, {.dtype = dtype});
  load_weights(*model, file.weights());
  model->eval();
  return model;
}

std::vector<std::string> golden_names() {
  std::vector<std::string> names;
  for (const auto& entry :
       std::filesystem::directory_iterator(PEFT_SOURCE_DIR "/tests/models/golden")) {
    names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

double relative_error(const at::Tensor& got, const at::Tensor& expected) {
  if (got.sizes() != expected.sizes()) return std::numeric_limits<double>::infinity();
  const auto a = got.detach().to(at::kDouble), b = expected.detach().to(at::kDouble);
  if (!at::isfinite(a).all().item<bool>()) return std::numeric_limits<double>::infinity();
  const auto largest = b.numel() == 0 ? 0.0 : b.abs().max().item<double>();
  const auto difference = b.numel() == 0 ? 0.0 : (a - b).abs().max().item<double>();
  return difference / std::max(1.0, largest);
}

}  // namespace peft::test
