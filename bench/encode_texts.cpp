// How long encoding takes on one thread.
//
//   encode_texts TOKENIZER.json TEXTS.jsonl [ROUNDS]
//
// TEXTS has rows {"text"}. Prints one JSON object: the seconds of the fastest round, the number of
// tokens, and a sum over all ids by which two programs can tell that they made the same ones.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "peft/base/file.h"
#include "peft/base/json_text.h"
#include "peft/base/text.h"
#include "peft/tokenizers/tokenizer.h"

namespace {

std::vector<std::string> read_texts(const std::string& file) {
  std::vector<std::string> texts;
  for (const std::string& line : peft::split(peft::read_text_file(file), '\n')) {
    if (!line.empty()) texts.push_back(peft::parse_json(line, file).at("text"));
  }
  return texts;
}

int run(const std::string& tokenizer_file, const std::string& text_file, int rounds) {
  const auto tokenizer = peft::tokenizers::Tokenizer::from_file(tokenizer_file);
  const std::vector<std::string> texts = read_texts(text_file);
  double fastest = 0;
  uint64_t tokens = 0, sum = 0;
  for (int round = 0; round < rounds; ++round) {
    tokens = sum = 0;
    const auto start = std::chrono::steady_clock::now();
    for (const std::string& text : texts) {
      for (const int64_t id : tokenizer->encode(text, {.add_special_tokens = false}).ids) {
        sum += static_cast<uint64_t>(id) * (++tokens % 1009);
      }
    }
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    fastest = round == 0 ? taken.count() : std::min(fastest, taken.count());
  }
  std::printf("{\"seconds\": %.6f, \"tokens\": %llu, \"sum\": %llu}\n", fastest,
              static_cast<unsigned long long>(tokens), static_cast<unsigned long long>(sum));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: encode_texts TOKENIZER.json TEXTS.jsonl [ROUNDS]\n");
    return 2;
  }
  try {
    return run(argv[1], argv[2], argc > 3 ? std::stoi(argv[3]) : 3);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "encode_texts: %s\n", error.what());
    return 1;
  }
}
