// Everything that encoding gives, for the test that compares it with Python's.
//
//   encode_rows TOKENIZER ROWS.jsonl
//
// TOKENIZER: a folder, or a tokenizer.json. Rows {"text"}, or {"text", "pair"} where two texts
// belong together, and, where they are cut, {"max_length", "truncation"}. Prints an object a row.
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>

#include "peft/base/file.h"
#include "peft/base/json_text.h"
#include "peft/base/text.h"
#include "peft/tokenizers/tokenizer.h"

namespace {

using peft::Json;
using peft::tokenizers::EncodeOptions;
using peft::tokenizers::Encoding;
using peft::tokenizers::Tokenizer;
using peft::tokenizers::TruncationStrategy;

EncodeOptions options_of(const Json& row) {
  EncodeOptions options;
  if (!row.contains("max_length")) return options;
  options.max_length = row.at("max_length").get<size_t>();
  const std::string truncation = row.at("truncation");
  if (truncation == "only_first") options.truncation = TruncationStrategy::kOnlyFirst;
  if (truncation == "only_second") options.truncation = TruncationStrategy::kOnlySecond;
  return options;
}

Json encode_row(const Tokenizer& tokenizer, const Json& row) {
  const std::string text = row.at("text");
  const Encoding encoding =
      row.contains("pair")
          ? tokenizer.encode_pair(text, row.at("pair").get<std::string>(), options_of(row))
          : tokenizer.encode(text, options_of(row));
  return {{"ids", encoding.ids},
          {"type_ids", encoding.type_ids},
          {"attention_mask", encoding.attention_mask},
          {"special_tokens_mask", encoding.special_tokens_mask},
          {"offsets", encoding.offsets},
          {"text_ranges", encoding.text_ranges},
          {"decoded", tokenizer.decode(encoding.ids)}};
}

void run(const std::filesystem::path& path, const std::string& rows) {
  const auto tokenizer = std::filesystem::is_directory(path) ? Tokenizer::from_folder(path)
                                                             : Tokenizer::from_file(path);
  for (const std::string& line : peft::split(peft::read_text_file(rows), '\n')) {
    if (line.empty()) continue;
    const std::string result = encode_row(*tokenizer, peft::parse_json(line, rows)).dump();
    std::printf("%s\n", result.c_str());
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: encode_rows TOKENIZER ROWS.jsonl\n");
    return 2;
  }
  try {
    run(argv[1], argv[2]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "encode_rows: %s\n", error.what());
    return 1;
  }
  return 0;
}
