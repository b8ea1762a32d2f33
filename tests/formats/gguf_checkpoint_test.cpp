#include "peft/formats/gguf_checkpoint.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <filesystem>
#include <span>

#include "peft/base/error.h"
#include "peft/base/file.h"
#include "peft/base/json_text.h"
#include "peft/formats/safetensors_file.h"
#include "tests/formats/gguf_bytes.h"

namespace peft::formats {
namespace {
namespace fs = std::filesystem;

const fs::path kGolden = fs::path(PEFT_SOURCE_DIR) / "tests/formats/golden";
const fs::path kSmolLm = fs::path(PEFT_SOURCE_DIR) / ".deps/models/SmolLM2-135M-Instruct.Q4_1.gguf";

/// CRC-32 as zlib computes it.
uint32_t crc32(std::span<const std::byte> bytes) {
  static const auto table = [] {
    std::array<uint32_t, 256> out{};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ (value & 1U ? 0xEDB88320U : 0U);
      out[i] = value;
    }
    return out;
  }();
  uint32_t sum = 0xFFFFFFFFU;
  for (const std::byte byte : bytes) {
    sum = sum >> 8 ^ table[(sum ^ static_cast<uint32_t>(byte)) & 0xFFU];
  }
  return ~sum;
}

TEST(GgufCheckpoint, ATinyLlamaHasTheTensorsThatWentIn) {
  const auto file = Checkpoint::open(kGolden / "tiny_llama.gguf");
  const SafetensorsFile expected(kGolden / "tiny_llama.safetensors");
  EXPECT_EQ(file->tensors().size(), expected.header().tensors.size());
  for (const auto& [name, value] : expected.load_all()) {
    EXPECT_TRUE(at::equal(file->load(name, at::kFloat), value)) << name;
    EXPECT_TRUE(at::equal(file->load(name, at::kBFloat16), value.to(at::kBFloat16))) << name;
    EXPECT_TRUE(at::equal(file->load(name, at::kHalf), value.to(at::kHalf))) << name;
  }
}

TEST(GgufCheckpoint, PlainTensorsKeepTheirDtypeAndQuantisedOnesBecomeFloat32) {
  const auto file = Checkpoint::open(kGolden / "tiny_llama.gguf");
  EXPECT_EQ(file->load("model.layers.0.self_attn.k_proj.weight").scalar_type(), at::kHalf);
  EXPECT_EQ(file->load("model.layers.0.self_attn.q_proj.weight").scalar_type(), at::kFloat);
  EXPECT_EQ(file->dtype(), at::kFloat);
}

TEST(GgufCheckpoint, ConfigHasTheKeysOfTransformers) {
  const auto file = Checkpoint::open(kGolden / "tiny_llama.gguf");
  const Json expected = parse_json(R"({
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "max_position_embeddings": 128,
    "num_hidden_layers": 1, "intermediate_size": 96, "hidden_size": 64, "rope_theta": 50000.0,
    "num_attention_heads": 4, "num_key_value_heads": 2, "rms_norm_eps": 0.5, "head_dim": 16,
    "rope_scaling": {"rope_type": "linear", "factor": 2.0}, "vocab_size": 12, "bos_token_id": 0,
    "eos_token_id": 1, "tie_word_embeddings": false, "attention_bias": true})",
                                   "expected");
  EXPECT_EQ(file->config(), expected) << dump_json(file->config());
}

TEST(GgufCheckpoint, CompanionsComeFromTheMetadata) {
  const auto file = Checkpoint::open(kGolden / "tiny_llama.gguf");
  EXPECT_EQ(file->generation_config()["eos_token_id"], 1);
  EXPECT_EQ(file->tokenizer_config()["bos_token"], "<s>");
  EXPECT_EQ(file->tokenizer_config()["add_bos_token"], true);
  EXPECT_EQ(file->chat_template(), "{{ messages }}");
  EXPECT_FALSE(file->tokenizer_file().has_value());
}

TEST(GgufCheckpoint, MetadataOfEveryTypeBecomesJson) {
  const Json json = Checkpoint::open(kGolden / "tiny_llama.gguf")->gguf_metadata();
  EXPECT_EQ(json["general.test.u8"], 200);
  EXPECT_EQ(json["general.test.i8"], -3);
  EXPECT_EQ(json["general.test.u16"], 60000);
  EXPECT_EQ(json["general.test.i16"], -300);
  EXPECT_EQ(json["general.test.i32"], -70000);
  EXPECT_EQ(json["general.test.u64"], uint64_t{1} << 63);
  EXPECT_EQ(json["general.test.i64"], -(int64_t{1} << 40));
  EXPECT_EQ(json["general.test.f64"], 0.1);
  EXPECT_EQ(json["general.test.bool"], true);
  EXPECT_EQ(json["general.test.list"], Json::array({1, 2, 3}));
  EXPECT_EQ(json["tokenizer.ggml.tokens"].size(), 12);
  EXPECT_EQ(json["tokenizer.ggml.scores"][0], 0.5);
}

TEST(GgufCheckpoint, AMissingNameIsAnErrorWithTheClosestNames) {
  const auto file = Checkpoint::open(kGolden / "tiny_llama.gguf");
  try {
    file->load("model.nrom.weight");
    FAIL() << "no error";
  } catch (const NotFoundError& error) {
    EXPECT_NE(std::string(error.what()).find("'model.norm.weight'"), std::string::npos);
  }
  EXPECT_THROW(file->load("model.norm.weight", at::kLong), Error);
}

/// A GGUF file of these bytes, opened; the file is gone afterwards.
std::shared_ptr<Checkpoint> open_bytes(const std::string& bytes) {
  const fs::path file =
      fs::temp_directory_path() / ("peft_gguf_" + std::to_string(::getpid()) + ".gguf");
  write_file_atomically(file, bytes);
  try {
    auto checkpoint = Checkpoint::open(file);
    fs::remove(file);
    return checkpoint;
  } catch (...) {
    fs::remove(file);
    throw;
  }
}

/// The message of the error that opening gives.
std::string gguf_complaint(const std::string& bytes) {
  try {
    open_bytes(bytes);
  } catch (const UnsupportedError& error) {
    return error.what();
  }
  return "";
}

/// A Llama file whose rotary factors are those of the given rule.
/// Source: Llama3Model.generate_extra_tensors in llama.cpp's converter; _compute_llama3_parameters
/// in transformers/modeling_rope_utils.py has the same three cases.
std::string with_rotary_factors(float factor, double low, double high) {
  constexpr int kCount = 32;
  constexpr double kBase = 500000.0, kOriginal = 8192.0;
  std::string numbers;
  for (int i = 0; i < kCount; ++i) {
    const double wavelength = 2 * M_PI * std::pow(kBase, 2.0 * i / (2 * kCount));
    double wanted = factor;
    if (wavelength < kOriginal / high) {
      wanted = 1;
    } else if (wavelength <= kOriginal / low) {
      const double smooth = (kOriginal / wavelength - low) / (high - low);
      wanted = 1 / ((1 - smooth) / factor + smooth);
    }
    const auto stored = static_cast<float>(wanted);
    numbers.append(reinterpret_cast<const char*>(&stored), sizeof stored);
  }
  std::string bytes = GgufBytes()
                          .start(1, 2)
                          .string("general.architecture")
                          .number<uint32_t>(8)
                          .string("llama")
                          .string("llama.rope.freq_base")
                          .number<uint32_t>(6)
                          .number(static_cast<float>(kBase))
                          .tensor("rope_freqs.weight", {kCount}, 0, 0)
                          .data(numbers.size());
  return bytes.replace(bytes.size() - numbers.size(), numbers.size(), numbers);
}

TEST(GgufCheckpoint, RotaryFactorsBecomeTheRuleThatMadeThem) {
  const auto file = open_bytes(with_rotary_factors(32, 1, 4));
  const Json expected = {{"rope_type", "llama3"},
                         {"factor", 32.0},
                         {"low_freq_factor", 1.0},
                         {"high_freq_factor", 4.0},
                         {"original_max_position_embeddings", 8192}};
  EXPECT_EQ(file->config()["rope_scaling"], expected);
  EXPECT_TRUE(file->tensors().empty()) << "the factors are no weight";
  EXPECT_NE(gguf_complaint(with_rotary_factors(32, 1, 8)).find("expected the factors of rope type"),
            std::string::npos);
}

TEST(GgufCheckpoint, APartOfAModelAndAnAdapterAreErrorsThatSayWhatToDo) {
  const auto parts = [](uint16_t count) {
    return GgufBytes().start(0, 1).string("split.count").number<uint32_t>(2).number(count).text();
  };
  EXPECT_NE(gguf_complaint(parts(3)).find("one of 3 parts. Join them"), std::string::npos);
  EXPECT_EQ(gguf_complaint(parts(1)), "");
  const std::string adapter = gguf_complaint(
      GgufBytes().start(0, 1).string("general.type").number<uint32_t>(8).string("adapter").text());
  EXPECT_NE(adapter.find("expected a model, got an adapter"), std::string::npos) << adapter;
}

TEST(GgufCheckpoint, SmolLm2EqualsWhatTransformersLoads) {
  const auto file = Checkpoint::open(kSmolLm);
  const Json golden = read_json_file(kGolden / "smollm2_checksums.json");
  for (const auto& [key, value] : golden["config"].items()) {
    EXPECT_EQ(file->config()[key], value) << key;
  }
  ASSERT_EQ(file->tensors().size(), golden["crc32"].size());
  for (const auto& [name, sum] : golden["crc32"].items()) {
    const at::Tensor tensor = file->load(name, at::kFloat);
    const auto* bytes = static_cast<const std::byte*>(tensor.const_data_ptr());
    EXPECT_EQ(crc32({bytes, tensor.nbytes()}), sum.get<uint32_t>()) << name;
  }
  EXPECT_EQ(file->dtype(), std::nullopt);
}

TEST(Checkpoint, AMissingPathAndBareWeightsAreErrorsThatSayWhatToName) {
  EXPECT_THROW(Checkpoint::open("/no/such/model"), NotFoundError);
  EXPECT_THROW(Checkpoint::open(kGolden / "tiny_llama.safetensors"), ConfigError);
  EXPECT_THROW(Checkpoint::open(kGolden), NotFoundError);
}

}  // namespace
}  // namespace peft::formats
