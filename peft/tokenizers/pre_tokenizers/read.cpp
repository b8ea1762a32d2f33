#include <array>
#include <utility>

#include "peft/tokenizers/pre_tokenizers/stages.h"

namespace peft::tokenizers {
namespace {

class PreTokenizerSequence : public PreTokenizer {
 public:
  explicit PreTokenizerSequence(std::vector<PreTokenizerPtr> stages) : stages_(std::move(stages)) {}

  void apply(Segment& segment) const override {
    for (const PreTokenizerPtr& stage : stages_) {
      if (segment.bytes) write_out_bytes(segment);
      stage->apply(segment);
    }
  }

 private:
  std::vector<PreTokenizerPtr> stages_;
};

PreTokenizerPtr make_pre_tokenizer_sequence(const JsonView& json) {
  std::vector<PreTokenizerPtr> stages;
  for (const JsonView& stage : json.at("pretokenizers").items()) {
    stages.push_back(read_pre_tokenizer(stage));
  }
  return std::make_unique<PreTokenizerSequence>(std::move(stages));
}

}  // namespace

std::unique_ptr<const PreTokenizer> read_pre_tokenizer(const JsonView& json) {
  static const std::array<std::pair<std::string_view, PreTokenizerPtr (*)(const JsonView&)>, 11>
      makers{{{"Sequence", make_pre_tokenizer_sequence},
              {"Split", make_split},
              {"ByteLevel", make_byte_level_pre_tokenizer},
              {"Metaspace", make_metaspace_pre_tokenizer},
              {"Digits", make_digits},
              {"Punctuation", make_punctuation},
              {"Whitespace", make_whitespace},
              {"WhitespaceSplit", make_whitespace_split},
              {"CharDelimiterSplit", make_char_delimiter_split},
              {"BertPreTokenizer", make_bert_pre_tokenizer},
              {"FixedLength", make_fixed_length}}};
  const std::string type = json.at("type").string();
  std::vector<std::string> known;
  for (const auto& [name, make] : makers) {
    if (name == type) return make(json);
    known.emplace_back(name);
  }
  fail_unknown_type(json, "pre-tokenizer", known);
}

}  // namespace peft::tokenizers
