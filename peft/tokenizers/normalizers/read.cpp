#include <array>
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

NormalizerPtr make_sequence(const JsonView& json) {
  std::vector<NormalizerPtr> stages;
  for (const JsonView& stage : json.at("normalizers").items()) {
    stages.push_back(read_normalizer(stage));
  }
  return std::make_unique<NormalizerSequence>(std::move(stages));
}

template <UnicodeForm form>
NormalizerPtr make_form(const JsonView&) {
  return make_unicode_form(form);
}

}  // namespace

std::unique_ptr<const Normalizer> read_normalizer(const JsonView& json) {
  static const std::array<std::pair<std::string_view, NormalizerPtr (*)(const JsonView&)>, 12>
      makers{{{"Sequence", make_sequence},
              {"NFC", make_form<UnicodeForm::kNfc>},
              {"NFD", make_form<UnicodeForm::kNfd>},
              {"NFKC", make_form<UnicodeForm::kNfkc>},
              {"NFKD", make_form<UnicodeForm::kNfkd>},
              {"Lowercase", make_lowercase},
              {"Strip", make_strip},
              {"StripAccents", make_strip_accents},
              {"Replace", make_replace},
              {"Prepend", make_prepend},
              {"ByteLevel", make_byte_level_normalizer},
              {"Nmt", make_nmt}}};
  const std::string type = json.at("type").string();
  std::vector<std::string> known;
  for (const auto& [name, make] : makers) {
    if (name == type) return make(json);
    known.emplace_back(name);
  }
  fail_unknown_type(json, "normalizer", known);
}

}  // namespace peft::tokenizers
