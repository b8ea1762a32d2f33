#include <array>
#include <optional>
#include <string>
#include <utility>

#include "peft/tokenizers/normalizers/stages.h"

namespace peft::tokenizers {
namespace {

class NormalizerSequence : public Normalizer {
 public:
  explicit NormalizerSequence(std::vector<NormalizerPtr> stages) : stages_(std::move(stages)) {}

  void apply(AlignedText& text) const override {
    for (const NormalizerPtr& stage : stages_) stage->apply(text);
  }

 private:
  std::vector<NormalizerPtr> stages_;
};

NormalizerPtr make_sequence_stage(const JsonView& json) {
  std::vector<NormalizerPtr> stages;
  for (const JsonView& stage : json.at("normalizers").items()) {
    stages.push_back(read_normalizer(stage));
  }
  return make_normalizer_sequence(std::move(stages));
}

template <UnicodeForm form>
NormalizerPtr make_form(const JsonView&) {
  return make_unicode_form(form);
}

NormalizerPtr make_lowercase_stage(const JsonView&) { return make_lowercase(); }

int base64_digit(char letter) {
  if (letter >= 'A' && letter <= 'Z') return letter - 'A';
  if (letter >= 'a' && letter <= 'z') return letter - 'a' + 26;
  if (letter >= '0' && letter <= '9') return letter - '0' + 52;
  if (letter == '+') return 62;
  return letter == '/' ? 63 : -1;
}

/// The bytes of a text in base64; nullopt where it is none.
std::optional<std::string> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  size_t padding = 0;
  while (padding < 2 && text.ends_with('=')) {
    text.remove_suffix(1);
    ++padding;
  }
  std::string bytes;
  bytes.reserve(text.size() * 3 / 4);
  uint32_t bits = 0;
  int count = 0;
  for (const char letter : text) {
    const int digit = base64_digit(letter);
    if (digit < 0) return std::nullopt;
    bits = bits << 6 | static_cast<uint32_t>(digit);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes += static_cast<char>(bits >> count & 0xFF);
  }
  return bytes;
}

NormalizerPtr make_precompiled_stage(const JsonView& json) {
  const JsonView map = json.at("precompiled_charsmap");
  const auto bytes = from_base64(map.string());
  if (!bytes) map.fail("expected base64");
  return make_precompiled(*bytes, map.where());
}

}  // namespace

NormalizerPtr make_normalizer_sequence(std::vector<NormalizerPtr> stages) {
  return std::make_unique<NormalizerSequence>(std::move(stages));
}

std::unique_ptr<const Normalizer> read_normalizer(const JsonView& json) {
  static const std::array<std::pair<std::string_view, NormalizerPtr (*)(const JsonView&)>, 14>
      makers{{{"Sequence", make_sequence_stage},
              {"NFC", make_form<UnicodeForm::kNfc>},
              {"NFD", make_form<UnicodeForm::kNfd>},
              {"NFKC", make_form<UnicodeForm::kNfkc>},
              {"NFKD", make_form<UnicodeForm::kNfkd>},
              {"Lowercase", make_lowercase_stage},
              {"Strip", make_strip},
              {"StripAccents", make_strip_accents},
              {"Replace", make_replace},
              {"Prepend", make_prepend},
              {"ByteLevel", make_byte_level_normalizer},
              {"Nmt", make_nmt},
              {"BertNormalizer", make_bert_normalizer},
              {"Precompiled", make_precompiled_stage}}};
  const std::string type = json.at("type").string();
  std::vector<std::string> known;
  for (const auto& [name, make] : makers) {
    if (name == type) return make(json);
    known.emplace_back(name);
  }
  fail_unknown_type(json, "normalizer", known);
}

}  // namespace peft::tokenizers
