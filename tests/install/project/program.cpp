#include <iostream>

#include "lora_step.h"

int main(int argc, char** argv) {
  const std::string problem = lora_step(argc > 1 ? argv[1] : "");
  if (!problem.empty()) std::cerr << problem << "\n";
  return problem.empty() ? 0 : 1;
}
