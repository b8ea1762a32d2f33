#include <utf8proc.h>

#include <array>

#include "peft/tokenizers/normalizers/char_map.h"
#include "peft/tokenizers/normalizers/stages.h"
#include "peft/tokenizers/unicode.h"

namespace peft::tokenizers {
namespace {

/// A longer cluster of characters is never looked up as a whole.
constexpr size_t kLongestCluster = 5;

bool in_ascii(char byte) { return static_cast<unsigned char>(byte) < 0x80; }

/// Rewrites a text by SentencePiece's character map.
/// Source: tokenizers src/normalizers/precompiled.rs
class Precompiled : public Normalizer {
 public:
  explicit Precompiled(CharMap map) : map_(std::move(map)) {
    for (size_t i = 0; i < keeps_.size(); ++i) {
      const char letter = static_cast<char>(i);
      keeps_[i] = !map_.find({&letter, 1});
    }
  }

  void apply(AlignedText& text) const override {
    const std::string_view all = text.text();
    std::vector<Change> changes;
    size_t done = 0;  // what is before stays and is not in the list yet
    for (size_t at = 0; at < all.size();) {
      if (stays(all, at)) {
        ++at;
        continue;
      }
      const std::string_view cluster = all.substr(at, cluster_length(all.substr(at)));
      if (const auto whole = find_whole(cluster)) {
        keep(all.substr(done, at - done), changes);
        replace(cluster, *whole, changes);
        done = at + cluster.size();
      } else {
        for (size_t i = 0; i < cluster.size();) {
          const std::string_view part = cluster.substr(i, decode_utf8(cluster, i).length);
          if (const auto single = map_.find(part)) {
            keep(all.substr(done, at + i - done), changes);
            replace(part, *single, changes);
            done = at + i + part.size();
          }
          i += part.size();
        }
      }
      at += cluster.size();
    }
    if (done == 0) return;
    keep(all.substr(done), changes);
    rewrite(text, changes);
  }

 private:
  /// The usual case: a letter that stays, and no mark behind it that would belong to it.
  bool stays(std::string_view text, size_t at) const {
    if (!in_ascii(text[at]) || text[at] == '\r') return false;
    return keeps_[static_cast<size_t>(text[at])] &&
           (at + 1 == text.size() || in_ascii(text[at + 1]));
  }

  static size_t cluster_length(std::string_view text) {
    utf8proc_int32_t state = 0;
    CodePoint last = decode_utf8(text, 0);
    size_t at = last.length;
    while (at < text.size()) {
      const CodePoint next = decode_utf8(text, at);
      if (utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(last.value),
                                           static_cast<utf8proc_int32_t>(next.value), &state)) {
        break;
      }
      last = next;
      at += next.length;
    }
    return at;
  }

  std::optional<std::string_view> find_whole(std::string_view cluster) const {
    return cluster.size() <= kLongestCluster ? map_.find(cluster) : std::nullopt;
  }

  static void keep(std::string_view text, std::vector<Change>& changes) {
    for (size_t at = 0; at < text.size();) {
      const CodePoint c = decode_utf8(text, at);
      changes.push_back({c.value, 0});
      at += c.length;
    }
  }

  /// The new characters stand for the old ones one by one; what is left of the new ones is new,
  /// what is left of the old ones is swallowed by the last.
  static void replace(std::string_view from, std::string_view to, std::vector<Change>& changes) {
    const auto olds = static_cast<int>(count_characters(from));
    int news = 0;
    for (size_t at = 0; at < to.size(); ++news) {
      const CodePoint c = decode_utf8(to, at);
      changes.push_back({c.value, news < olds ? 0 : 1});
      at += c.length;
    }
    if (news < olds && !changes.empty()) changes.back().change += news - olds;
  }

  CharMap map_;
  std::array<bool, 128> keeps_{};
};

}  // namespace

NormalizerPtr make_precompiled(std::string_view char_map, const std::string& where) {
  return std::make_unique<Precompiled>(CharMap(char_map, where));
}

}  // namespace peft::tokenizers
