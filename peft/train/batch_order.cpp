#include "peft/train/batch_order.h"

#include <algorithm>
#include <numeric>

namespace peft::train {

namespace {

/// SplitMix64: small, and the same on every machine, which std::shuffle is not.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t next() {
    uint64_t z = (state_ += 0x9E3779B97F4A7C15ull);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
  }

  /// A number in [0, bound); the bias of the remainder is below 2^-32 for any real data set.
  size_t below(size_t bound) { return next() % bound; }

 private:
  uint64_t state_;
};

template <typename T>
void permute(std::vector<T>& items, Random& random) {
  for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[random.below(i)]);
}

using Batches = std::vector<std::vector<size_t>>;

Batches cut(const std::vector<size_t>& order, size_t batch_size) {
  Batches batches;
  for (size_t begin = 0; begin < order.size(); begin += batch_size) {
    const size_t end = std::min(begin + batch_size, order.size());
    batches.emplace_back(order.begin() + begin, order.begin() + end);
  }
  return batches;
}

void sort_chunks(std::vector<size_t>& order, const std::vector<size_t>& lengths,
                 size_t batch_size) {
  const size_t batches = std::clamp<size_t>(order.size() / (batch_size * 4), 1, 50);
  for (size_t begin = 0; begin < order.size(); begin += batches * batch_size) {
    const size_t end = std::min(begin + batches * batch_size, order.size());
    std::stable_sort(order.begin() + begin, order.begin() + end,
                     [&](size_t a, size_t b) { return lengths[a] > lengths[b]; });
  }
}

void put_longest_first(Batches& batches, const std::vector<size_t>& lengths) {
  const auto longest = [&](const std::vector<size_t>& batch) {
    size_t result = 0;
    for (const size_t row : batch) result = std::max(result, lengths[row]);
    return result;
  };
  const auto found =
      std::max_element(batches.begin(), batches.end(),
                       [&](const auto& a, const auto& b) { return longest(a) < longest(b); });
  if (found != batches.end()) std::iter_swap(batches.begin(), found);
}

}  // namespace

std::vector<std::vector<size_t>> batches_of_epoch(const std::vector<size_t>& lengths,
                                                  const BatchOrderOptions& options, int64_t epoch) {
  const auto batch_size = static_cast<size_t>(std::max<int64_t>(options.batch_size, 1));
  std::vector<size_t> order(lengths.size());
  std::iota(order.begin(), order.end(), size_t{0});
  if (!options.shuffle) return cut(order, batch_size);

  Random random(Random(options.seed).next() + static_cast<uint64_t>(epoch));
  permute(order, random);
  if (!options.group_by_length) return cut(order, batch_size);
  sort_chunks(order, lengths, batch_size);
  Batches batches = cut(order, batch_size);
  permute(batches, random);
  put_longest_first(batches, lengths);
  return batches;
}

}  // namespace peft::train
