// The Hub of the interop test: prints its address and serves until its standard input ends.
#include <iostream>
#include <string>

#include "tests/hub/fake_hub.h"

int main() {
  const peft::hub::FakeHub hub;
  std::cout << hub.endpoint() << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
  }
}
