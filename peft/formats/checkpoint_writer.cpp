#include "peft/formats/checkpoint_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "peft/base/file.h"
#include "peft/base/json_text.h"
#include "peft/formats/safetensors_writer.h"

namespace peft::formats {
namespace fs = std::filesystem;
namespace {

uint64_t bytes_of(const at::Tensor& tensor) { return tensor.numel() * tensor.element_size(); }

std::vector<StateDict> split_into_shards(const StateDict& weights, uint64_t max_bytes) {
  std::vector<StateDict> shards(1);
  uint64_t filled = 0;
  for (const auto& [name, tensor] : weights) {
    if (!shards.back().empty() && filled + bytes_of(tensor) > max_bytes) {
      shards.emplace_back();
      filled = 0;
    }
    shards.back().set(name, tensor);
    filled += bytes_of(tensor);
  }
  return shards;
}

const Metadata kPytorch{{"format", "pt"}};

void write_shards(const fs::path& folder, const std::vector<StateDict>& shards,
                  const ValueOf& value_of) {
  if (shards.size() == 1) {
    write_safetensors(folder / "model.safetensors", shards.front(), kPytorch, value_of);
    return;
  }
  uint64_t total = 0;
  std::vector<std::pair<std::string, std::string>> places;
  for (size_t i = 0; i < shards.size(); i++) {
    const std::string file = fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
    write_safetensors(folder / file, shards[i], kPytorch, value_of);
    for (const auto& [name, tensor] : shards[i]) {
      places.emplace_back(name, file);
      total += bytes_of(tensor);
    }
  }
  std::sort(places.begin(), places.end());
  Json index = {{"metadata", {{"total_size", total}}}, {"weight_map", Json::object()}};
  auto& map = index["weight_map"].get_ref<Json::object_t&>();
  for (auto& [name, file] : places) map.emplace_back(name, file);
  write_file_atomically(folder / "model.safetensors.index.json",
                        dump_json(index, {.final_newline = true}));
}

void write_json(const fs::path& path, const Json& value) {
  if (!value.is_null()) {
    write_file_atomically(path, dump_json(value, {.ensure_ascii = false, .final_newline = true}));
  }
}

}  // namespace

void write_checkpoint(const fs::path& folder, const StateDict& weights,
                      const CheckpointParts& parts, const ValueOf& value_of) {
  std::error_code ignored;  // what goes wrong here is told by the first write
  fs::create_directories(folder, ignored);
  write_shards(folder, split_into_shards(weights, parts.max_shard_size), value_of);
  write_json(folder / "generation_config.json", parts.generation_config);
  write_json(folder / "tokenizer_config.json", parts.tokenizer_config);
  if (parts.tokenizer) write_file_atomically(folder / "tokenizer.json", *parts.tokenizer);
  if (parts.chat_template)
    write_file_atomically(folder / "chat_template.jinja", *parts.chat_template);
  write_json(folder / "config.json", parts.config);
}

}  // namespace peft::formats
