#pragma once

#include <cstdint>
#include <map>
#include <string>

/// Counts how long each operator of libtorch ran by itself, without the operators it called, on all
/// threads together, while the object lives. Costs about a microsecond a call.
class OperatorTimes {
 public:
  OperatorTimes();
  OperatorTimes(const OperatorTimes&) = delete;
  OperatorTimes& operator=(const OperatorTimes&) = delete;
  ~OperatorTimes();

  struct Entry {
    double seconds = 0;
    int64_t calls = 0;
  };
  static std::map<std::string, Entry> entries();

  /// The slowest operators, a line each, to stderr.
  static void print(double times);

 private:
  uint64_t handle_;
};
