#include <array>
#include <utility>

#include "peft/tokenizers/decoders/stages.h"

namespace peft::tokenizers {
namespace {

class DecoderSequence : public Decoder {
 public:
  explicit DecoderSequence(std::vector<DecoderPtr> stages) : stages_(std::move(stages)) {}

  void apply(std::vector<std::string>& tokens) const override {
    for (const DecoderPtr& stage : stages_) stage->apply(tokens);
  }

 private:
  std::vector<DecoderPtr> stages_;
};

DecoderPtr make_decoder_sequence(const JsonView& json) {
  std::vector<DecoderPtr> stages;
  for (const JsonView& stage : json.at("decoders").items()) stages.push_back(read_decoder(stage));
  return std::make_unique<DecoderSequence>(std::move(stages));
}

}  // namespace

std::unique_ptr<const Decoder> read_decoder(const JsonView& json) {
  static const std::array<std::pair<std::string_view, DecoderPtr (*)(const JsonView&)>, 9> makers{
      {{"Sequence", make_decoder_sequence},
       {"ByteLevel", make_byte_level_decoder},
       {"ByteFallback", make_byte_fallback},
       {"Fuse", make_fuse},
       {"Metaspace", make_metaspace_decoder},
       {"Replace", make_replace_decoder},
       {"Strip", make_strip_decoder},
       {"BPEDecoder", make_bpe_decoder},
       {"WordPiece", make_word_piece_decoder}}};
  const std::string type = json.at("type").string();
  std::vector<std::string> known;
  for (const auto& [name, make] : makers) {
    if (name == type) return make(json);
    known.emplace_back(name);
  }
  fail_unknown_type(json, "decoder", known);
}

}  // namespace peft::tokenizers
