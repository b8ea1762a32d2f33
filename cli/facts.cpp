#include "cli/facts.h"

#include <fmt/core.h>

#include <algorithm>
#include <numeric>

#include "peft/base/error.h"
#include "peft/base/json_text.h"
#include "peft/base/table.h"
#include "peft/base/text.h"
#include "peft/formats/checkpoint.h"
#include "peft/formats/safetensors_file.h"
#include "peft/formats/torch_checkpoint_file.h"
#include "peft/tensor/dtype.h"

namespace peft::cli {

namespace fs = std::filesystem;

namespace {

int64_t count_of(const std::vector<int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

void add_tensor(Facts& facts, const formats::TensorInfo& tensor) {
  const int64_t count = count_of(tensor.shape);
  facts.bytes += tensor.bytes;
  facts.parameters += count;
  facts.tensors += 1;
  facts.dtypes[tensor.dtype] += count;
}

/// Linear layers are the two-dimensional weights but for lookup tables.
void add_linear_module(Facts& facts, const formats::TensorInfo& tensor) {
  constexpr std::string_view kWeight = ".weight";
  if (tensor.shape.size() != 2 || !tensor.name.ends_with(kWeight)) return;
  std::string name = tensor.name.substr(0, tensor.name.size() - kWeight.size());
  if (name.find("embed") != std::string::npos || name.ends_with(".wte") || name.ends_with(".wpe"))
    return;
  facts.modules.push_back({std::move(name), tensor.shape});
}

/// The module that a LoRA tensor of an adapter file belongs to.
void add_adapted_module(Facts& facts, const formats::TensorInfo& tensor) {
  std::string name = tensor.name;
  constexpr std::string_view kPrefix = "base_model.model.";
  if (name.starts_with(kPrefix)) name = name.substr(kPrefix.size());
  const size_t end = std::min(name.find(".lora_"), name.rfind('.'));
  name = name.substr(0, end);
  if (!facts.modules.empty() && facts.modules.back().name == name) return;
  facts.modules.push_back({name, tensor.shape});
}

std::vector<formats::TensorInfo> tensors_of_file(const fs::path& file) {
  std::vector<formats::TensorInfo> tensors;
  const formats::SafetensorsFile opened(file);
  for (const auto& entry : opened.header().tensors) {
    tensors.push_back({.name = entry.name,
                       .shape = entry.shape,
                       .dtype = entry.dtype,
                       .bytes = entry.end - entry.begin,
                       .file = file});
  }
  return tensors;
}

std::vector<formats::TensorInfo> tensors_of_torch_file(const fs::path& file) {
  std::vector<formats::TensorInfo> tensors;
  for (const auto& [name, tensor] : formats::read_torch_file(file)) {
    tensors.push_back({.name = name,
                       .shape = tensor.sizes().vec(),
                       .dtype = std::string(safetensors_word(tensor.scalar_type())),
                       .bytes = tensor.nbytes(),
                       .file = file});
  }
  return tensors;
}

std::vector<formats::TensorInfo> tensors_of_adapter(const fs::path& folder) {
  const fs::path weights = folder / "adapter_model.safetensors";
  const fs::path pickled = folder / "adapter_model.bin";
  if (fs::exists(weights)) return tensors_of_file(weights);
  if (fs::exists(pickled)) return tensors_of_torch_file(pickled);
  return {};
}

Facts adapter_facts(const fs::path& folder) {
  Facts facts{
      .path = folder, .kind = "adapter", .config = read_json_file(folder / "adapter_config.json")};
  for (const auto& tensor : tensors_of_adapter(folder)) {
    add_tensor(facts, tensor);
    add_adapted_module(facts, tensor);
  }
  return facts;
}

Facts file_facts(const fs::path& file) {
  Facts facts{.path = file, .kind = "safetensors"};
  for (const auto& tensor : tensors_of_file(file)) {
    add_tensor(facts, tensor);
    add_linear_module(facts, tensor);
  }
  return facts;
}

Facts checkpoint_facts(const fs::path& path) {
  const auto checkpoint = formats::Checkpoint::open(path);
  Facts facts{.path = path,
              .kind = fs::is_directory(path) ? "checkpoint" : "gguf",
              .config = checkpoint->config()};
  for (const auto& tensor : checkpoint->tensors()) {
    add_tensor(facts, tensor);
    add_linear_module(facts, tensor);
  }
  return facts;
}

/// "q_proj (30), k_proj (30)": the last parts of the modules' names with how often they come.
std::string module_summary(const Facts& facts) {
  std::vector<std::pair<std::string, int64_t>> counts;
  for (const auto& module : facts.modules) {
    const std::string last = module.name.substr(module.name.rfind('.') + 1);
    const auto found = std::find_if(counts.begin(), counts.end(),
                                    [&](const auto& entry) { return entry.first == last; });
    if (found == counts.end()) {
      counts.emplace_back(last, 1);
    } else {
      ++found->second;
    }
  }
  std::vector<std::string> parts;
  for (const auto& [name, count] : counts) parts.push_back(fmt::format("{} ({})", name, count));
  return join(parts, ", ");
}

std::string scalar_text(const Json& value) {
  return value.is_string() ? value.get<std::string>() : dump_json(value, {.indent = {}});
}

}  // namespace

Facts facts_of(const fs::path& path) {
  if (!fs::exists(path)) {
    throw NotFoundError(fmt::format("{}: no such file or folder. Check the path.", path.string()));
  }
  if (fs::is_directory(path) && fs::exists(path / "adapter_config.json"))
    return adapter_facts(path);
  if (path.extension() == ".safetensors") return file_facts(path);
  return checkpoint_facts(path);
}

Json to_json(const Facts& facts) {
  Json dtypes = Json::object();
  for (const auto& [dtype, count] : facts.dtypes) dtypes[dtype] = count;
  Json modules = Json::array();
  for (const auto& module : facts.modules) {
    modules.push_back({{"name", module.name}, {"shape", module.shape}});
  }
  return {{"path", facts.path.string()}, {"kind", facts.kind},   {"parameters", facts.parameters},
          {"tensors", facts.tensors},    {"bytes", facts.bytes}, {"dtypes", dtypes},
          {"config", facts.config},      {"modules", modules}};
}

std::string describe(const Facts& facts, const Terminal& terminal) {
  std::string text = styled(facts.path.string(), Style::kBold, terminal) + "\n";
  const auto line = [&](std::string_view name, const std::string& value) {
    text += fmt::format("  {:<25} {}\n", name, value);
  };
  line("kind", facts.kind);
  line(facts.kind == "adapter" ? "trained parameters" : "parameters",
       with_thousands(facts.parameters));
  line("tensors", fmt::format("{} ({})", facts.tensors, human_bytes(facts.bytes)));
  for (const auto& [dtype, count] : facts.dtypes) line("  " + dtype, with_thousands(count));
  if (!facts.modules.empty()) {
    line(facts.kind == "adapter" ? "adapted modules" : "linear modules", module_summary(facts));
  }
  if (facts.config.is_object()) {
    text += "  config\n";
    for (const auto& [key, value] : facts.config.items()) {
      if (value.is_null() || (value.is_structured() && value.empty())) continue;
      line("  " + key, fit_width(scalar_text(value), 90));
    }
  }
  return text;
}

}  // namespace peft::cli
