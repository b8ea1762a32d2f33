#include "peft/formats/gguf_checkpoint.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <numbers>

#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/formats/gguf_names.h"
#include "peft/formats/gguf_unpack.h"
#include "peft/tensor/dtype.h"

namespace peft::formats {
namespace {

/// The ATen dtype of numbers that are stored plainly; nullopt for blocks.
std::optional<at::ScalarType> plain_dtype(std::string_view type) {
  static const std::map<std::string_view, at::ScalarType> kPlain{
      {"F32", at::kFloat}, {"F16", at::kHalf},  {"BF16", at::kBFloat16}, {"F64", at::kDouble},
      {"I8", at::kChar},   {"I16", at::kShort}, {"I32", at::kInt},       {"I64", at::kLong},
  };
  const auto found = kPlain.find(type);
  return found == kPlain.end() ? std::nullopt : std::optional(found->second);
}

int64_t integer(const Json& config, const char* key) {
  const auto found = config.find(key);
  return found != config.end() && found->is_number_integer() ? found->get<int64_t>() : 0;
}

}  // namespace

GgufCheckpoint::GgufCheckpoint(const std::filesystem::path& file)
    : file_(std::make_shared<MappedFile>(file)),
      header_(GgufHeader::parse(file_->bytes(), file.string())),
      config_(config_from_gguf(header_)) {
  check_whole_model();
  for (const GgufTensor& tensor : header_.tensors()) {
    if (is_auxiliary(tensor.name)) continue;
    const std::string name = transformers_name(tensor.name);
    if (!by_name_.emplace(name, &tensor).second) {
      throw FormatError(fmt::format("{}: two tensors stand for {}.", file.string(), quote(name)));
    }
    tensors_.push_back({.name = name,
                        .shape = tensor.shape,
                        .dtype = std::string(tensor.type->name),
                        .bytes = tensor.bytes,
                        .file = file});
  }
  add_rotary_factors();
}

void GgufCheckpoint::check_whole_model() const {
  const int64_t parts = integer({{"parts", header_.json("split.count")}}, "parts");
  if (parts > 1) {
    throw UnsupportedError(fmt::format(
        "{}: split.count: expected a whole model in one file, got one of {} parts. Join them with "
        "llama.cpp's llama-gguf-split --merge.",
        path().string(), parts));
  }
  const Json kind = header_.json("general.type");
  if (kind == "adapter") {
    throw UnsupportedError(
        fmt::format("{}: general.type: expected a model, got an adapter. Name the model that it "
                    "was made for.",
                    path().string()));
  }
}

/// Llama 3.1 and later stretch low frequencies; the file holds the factors instead of the rule.
void GgufCheckpoint::add_rotary_factors() {
  const auto& all = header_.tensors();
  const auto found = std::find_if(all.begin(), all.end(), [](const GgufTensor& tensor) {
    return tensor.name == "rope_freqs.weight";
  });
  if (found == all.end()) return;
  const at::Tensor factors = unpack(*found, at::kFloat);
  const float* stored = factors.const_data_ptr<float>();
  const int64_t count = factors.numel();
  constexpr double kLow = 1.0, kHigh = 4.0,
                   kOriginal = 8192.0;  // what every such model is published with
  const double factor = count > 0 ? stored[count - 1] : 0.0;
  const Json base = config_.value("rope_theta", Json(10000.0));
  bool follows = factor >= 1.0 && base.is_number();
  for (int64_t i = 0; follows && i < count; ++i) {
    const double frequency =
        std::pow(base.get<double>(), -static_cast<double>(i) / static_cast<double>(count));
    const double turns = kOriginal * frequency / (2 * std::numbers::pi);
    const double smooth = std::clamp((turns - kLow) / (kHigh - kLow), 0.0, 1.0);
    const double expected = 1.0 / ((1.0 - smooth) / factor + smooth);
    follows = std::abs(expected - stored[i]) <= 1e-3 * expected;
  }
  if (!follows) {
    throw UnsupportedError(fmt::format(
        "{}: rope_freqs.weight: expected the factors of rope type 'llama3', got others. "
        "Use the model's Hugging Face folder instead.",
        path().string()));
  }
  config_["rope_scaling"] = {{"rope_type", "llama3"},
                             {"factor", factor},
                             {"low_freq_factor", kLow},
                             {"high_freq_factor", kHigh},
                             {"original_max_position_embeddings", static_cast<int64_t>(kOriginal)}};
}

int64_t GgufCheckpoint::interleaved_heads(const GgufTensor& tensor) const {
  if (header_.json("general.architecture") != Json("llama")) return 0;
  const bool query = tensor.name.find(".attn_q.") != std::string::npos;
  const bool key = tensor.name.find(".attn_k.") != std::string::npos;
  if (!query && !key) return 0;
  const int64_t query_heads = integer(config_, "num_attention_heads");
  const int64_t key_heads = integer(config_, "num_key_value_heads");
  const int64_t heads = key && key_heads > 0 ? key_heads : query_heads;
  if (heads <= 0 || tensor.shape.empty() || tensor.shape.front() % heads != 0 ||
      tensor.shape.front() / heads % 2 != 0) {
    throw FormatError(
        fmt::format("{}: tensor {}: expected rows for {} heads of even width, got shape {}.",
                    path().string(), quote(tensor.name), heads, shape_text(tensor.shape)));
  }
  return heads;
}

at::Tensor GgufCheckpoint::load(const std::string& name,
                                std::optional<at::ScalarType> dtype) const {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) {
    std::vector<std::string> names;
    for (const TensorInfo& info : tensors_) names.push_back(info.name);
    throw NotFoundError(fmt::format("{}: there is no tensor {} among {}. Closest: {}.",
                                    path().string(), quote(name), names.size(),
                                    join_names(closest_names(name, names))));
  }
  const GgufTensor& tensor = *found->second;
  const auto plain = plain_dtype(tensor.type->name);
  if (plain && !dtype) dtype = plain;
  if (plain && interleaved_heads(tensor) == 0 && (plain == dtype || !at::isFloatingType(*plain))) {
    return view(tensor, *plain);
  }
  return unpack(tensor, dtype.value_or(at::kFloat));
}

at::Tensor GgufCheckpoint::view(const GgufTensor& tensor, at::ScalarType dtype) const {
  const auto options = at::TensorOptions().dtype(dtype);
  auto* bytes = const_cast<std::byte*>(file_->bytes().data()) + tensor.begin;
  if (tensor.bytes == 0) return at::empty(tensor.shape, options);
  if (reinterpret_cast<uintptr_t>(bytes) % c10::elementSize(dtype) != 0) {
    at::Tensor copy = at::empty(tensor.shape, options);
    std::memcpy(copy.mutable_data_ptr(), bytes, tensor.bytes);
    return copy;
  }
  return at::from_blob(
      bytes, tensor.shape, [keep = file_](void*) {}, options);
}

at::Tensor GgufCheckpoint::unpack(const GgufTensor& tensor, at::ScalarType dtype) const {
  if (tensor.type->unpack == nullptr) {
    const auto plain = plain_dtype(tensor.type->name);
    if (plain) return view(tensor, *plain).to(dtype);
    throw UnsupportedError(
        fmt::format("{}: tensor {}: the type {} cannot be unpacked here. Use a file of Q8_0, Q6_K, "
                    "Q4_K or another of "
                    "the usual types.",
                    path().string(), quote(tensor.name), tensor.type->name));
  }
  if (!at::isFloatingType(dtype) || at::isFloat8Type(dtype)) {
    throw ConfigError(
        fmt::format("{}: tensor {}: expected a dtype such as float32 or bfloat16, got {}.",
                    path().string(), quote(tensor.name), dtype_name(dtype)));
  }
  at::Tensor out = at::empty(tensor.shape, at::TensorOptions().dtype(dtype));
  unpack_rows(*tensor.type, file_->bytes().data() + tensor.begin, interleaved_heads(tensor), out);
  if (tensor.type->quantised)
    MappedFile::release(file_->bytes().subspan(tensor.begin, tensor.bytes));
  return out;
}

std::optional<at::ScalarType> GgufCheckpoint::dtype() const {
  std::map<const GgufType*, uint64_t> bytes;
  for (const GgufTensor& tensor : header_.tensors()) bytes[tensor.type] += tensor.bytes;
  const auto most = std::max_element(
      bytes.begin(), bytes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == bytes.end() ? std::nullopt : plain_dtype(most->first->name);
}

Json GgufCheckpoint::generation_config() const { return generation_config_from_gguf(header_); }

Json GgufCheckpoint::tokenizer_config() const { return tokenizer_config_from_gguf(header_); }

std::optional<std::string> GgufCheckpoint::chat_template() const {
  const Json value = header_.json("tokenizer.chat_template");
  return value.is_string() ? std::optional(value.get<std::string>()) : std::nullopt;
}

Json GgufCheckpoint::gguf_metadata() const {
  Json out = Json::object();
  auto& entries = out.get_ref<Json::object_t&>();
  for (const GgufMetadata& value : header_.metadata()) {
    if (value.key.starts_with("tokenizer.") || value.key.starts_with("general.")) {
      entries.emplace_back(value.key, GgufHeader::json(value));
    }
  }
  return out;
}

}  // namespace peft::formats
