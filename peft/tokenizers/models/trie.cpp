#include "peft/tokenizers/models/trie.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "peft/base/error.h"
#include "peft/base/text.h"

namespace peft::tokenizers {
namespace {

constexpr size_t kLongestEntry = 4096;

/// The sorted entries below one node: they agree up to its depth.
struct Below {
  uint32_t begin = 0, end = 0, depth = 0;
};

}  // namespace

Trie::Trie(std::vector<Vocabulary::Entry> entries, const std::string& where) {
  for (const Vocabulary::Entry& entry : entries) {
    if (entry.token.size() <= kLongestEntry) continue;
    throw FormatError(
        fmt::format("{}: token {} is too long: expected at most {} bytes, got {}. Check the file, "
                    "or fetch it again.",
                    where, entry.id, kLongestEntry, entry.token.size()));
  }
  std::stable_sort(entries.begin(), entries.end(),
                   [](const auto& a, const auto& b) { return a.token < b.token; });
  std::vector<Below> below = {{0, static_cast<uint32_t>(entries.size()), 0}};
  nodes_.emplace_back();
  labels_ += '\0';
  for (size_t node = 0; node < nodes_.size(); ++node) {
    auto [begin, end, depth] = below[node];
    for (; begin < end && entries[begin].token.size() == depth; ++begin) {
      nodes_[node].id = entries[begin].id;
    }
    nodes_[node].first = static_cast<uint32_t>(nodes_.size());
    while (begin < end) {
      const char label = entries[begin].token[depth];
      uint32_t stop = begin + 1;
      while (stop < end && entries[stop].token[depth] == label) ++stop;
      below.push_back({begin, stop, depth + 1});
      nodes_.emplace_back();
      labels_ += label;
      begin = stop;
    }
    nodes_[node].count = static_cast<uint32_t>(nodes_.size()) - nodes_[node].first;
  }
}

Trie::Node Trie::step(Node node, char byte) const {
  const Branch& branch = nodes_[node];
  const char* const labels = labels_.data() + branch.first;
  if (branch.count == 1) return *labels == byte ? branch.first : kNone;
  if (branch.count == 0) return kNone;
  const void* const found = std::memchr(labels, static_cast<unsigned char>(byte), branch.count);
  if (found == nullptr) return kNone;
  return branch.first + static_cast<uint32_t>(static_cast<const char*>(found) - labels);
}

Trie::Node Trie::walk(Node node, std::string_view text) const {
  for (const char byte : text) {
    node = step(node, byte);
    if (node == kNone) break;
  }
  return node;
}

}  // namespace peft::tokenizers
