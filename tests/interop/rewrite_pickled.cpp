// rewrite_pickled IN OUT: the tensors of a .safetensors or .bin file as this library pickles them.

#include <cstdio>
#include <filesystem>

#include "peft/base/error.h"
#include "peft/formats/safetensors_file.h"
#include "peft/formats/torch_checkpoint_file.h"

int main(int count, char** arguments) {
  if (count != 3) return 2;
  try {
    const std::filesystem::path in = arguments[1];
    const bool safe = in.extension() == ".safetensors";
    peft::formats::write_torch_file(
        arguments[2],
        safe ? peft::formats::SafetensorsFile(in).load_all() : peft::formats::read_torch_file(in));
  } catch (const peft::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
