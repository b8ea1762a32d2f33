#include "tests/cli/run_program.h"

#include <fmt/core.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <torch/torch.h>

#include <fstream>

#include "peft/base/file.h"
#include "peft/formats/checkpoint_writer.h"
#include "peft/tensor/state_dict.h"

namespace peft::cli {

namespace fs = std::filesystem;

namespace {

struct Scratch {
  Scratch() {
    std::string name = (fs::temp_directory_path() / "peft_cli_XXXXXX").string();
    path = ::mkdtemp(name.data());
  }
  ~Scratch() { fs::remove_all(path); }
  fs::path path;
};

StateDict tiny_weights() {
  torch::manual_seed(0);
  StateDict weights;
  const auto add = [&](const std::string& name, at::IntArrayRef shape) {
    weights.set(name, shape.size() == 1 ? torch::ones(shape) : 0.2 * torch::randn(shape));
  };
  add("model.embed_tokens.weight", {32, 16});
  for (int layer = 0; layer < 2; ++layer) {
    const std::string prefix = fmt::format("model.layers.{}.", layer);
    for (const char* name : {"q_proj", "k_proj", "v_proj", "o_proj"}) {
      add(prefix + "self_attn." + name + ".weight", {16, 16});
    }
    add(prefix + "mlp.gate_proj.weight", {24, 16});
    add(prefix + "mlp.up_proj.weight", {24, 16});
    add(prefix + "mlp.down_proj.weight", {16, 24});
    add(prefix + "input_layernorm.weight", {16});
    add(prefix + "post_attention_layernorm.weight", {16});
  }
  add("model.norm.weight", {16});
  add("lm_head.weight", {32, 16});
  return weights;
}

Json tiny_config() {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"hidden_size", 16},
          {"intermediate_size", 24},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 2},
          {"num_key_value_heads", 2},
          {"vocab_size", 32},
          {"max_position_embeddings", 64},
          {"rms_norm_eps", 1e-5},
          {"rope_theta", 10000.0},
          {"hidden_act", "silu"},
          {"tie_word_embeddings", false},
          {"torch_dtype", "float32"}};
}

Json tiny_tokenizer() {
  const std::vector<std::string> special = {"<|end|>", "<|user|>", "<|assistant|>"};
  Json vocabulary = Json::object(), added = Json::array();
  for (const std::string& token : special) {
    added.push_back({{"id", vocabulary.size()},
                     {"content", token},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
    vocabulary[token] = vocabulary.size();
  }
  for (char letter = 'a'; letter <= 'z'; ++letter) {
    vocabulary[std::string(1, letter)] = vocabulary.size();
  }
  // Blank and line end in the alphabet of ByteLevel.
  for (const char* token : {"\u0120", ".", "\u010a"}) vocabulary[token] = vocabulary.size();
  const Json bytes = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}};
  return {{"version", "1.0"},
          {"added_tokens", added},
          {"pre_tokenizer", bytes},
          {"decoder", bytes},
          {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", Json::array()}}}};
}

}  // namespace

const fs::path& scratch() {
  static const Scratch folder;
  return folder.path;
}

ProgramRun run_peft(const std::string& arguments, const std::string& before) {
  static int count = 0;
  const fs::path out = scratch() / fmt::format("out{}", ++count), talk = out.string() + ".talk";
  const std::string line = fmt::format("( {} env OMP_NUM_THREADS=1 {} {} ) > {} 2> {}", before,
                                       PEFT_PROGRAM, arguments, out.string(), talk.string());
  const int status = std::system(line.c_str());
  return {.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
          .out = read_text_file(out),
          .talk = read_text_file(talk)};
}

std::string train_line(const std::string& out, const std::string& more) {
  return fmt::format(
      "train --model_name_or_path {} --dataset_name {} --output_dir {} --lora_target_modules "
      "all-linear --lora_r 4 --learning_rate 1e-2 --per_device_train_batch_size 2 "
      "--logging_steps 1 {}",
      tiny_model().string(), token_rows("rows.jsonl", 12).string(), (scratch() / out).string(),
      more);
}

const fs::path& tiny_model() {
  static const fs::path folder = [] {
    const fs::path path = scratch() / "tiny";
    fs::create_directories(path);
    formats::write_checkpoint(path, tiny_weights(), {.config = tiny_config()});
    return path;
  }();
  return folder;
}

const fs::path& tiny_talker() {
  static const fs::path folder = [] {
    const fs::path path = scratch() / "talker";
    fs::create_directories(path);
    formats::write_checkpoint(
        path, tiny_weights(),
        {.config = tiny_config(),
         .tokenizer_config = {{"eos_token", "<|end|>"}, {"tokenizer_class", "GPT2Tokenizer"}},
         .tokenizer = tiny_tokenizer().dump(),
         .chat_template = "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}"
                          "<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif "
                          "%}"});
    return path;
  }();
  return folder;
}

fs::path token_rows(const std::string& name, int count) {
  const fs::path file = scratch() / name;
  std::ofstream stream(file);
  for (int i = 0; i < count; ++i) {
    stream << "{\"input_ids\": [";
    for (int t = 0; t < 3 + i % 4; ++t) stream << (t > 0 ? ", " : "") << (i + 2 * t) % 32;
    stream << "]}\n";
  }
  return file;
}

}  // namespace peft::cli
