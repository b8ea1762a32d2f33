#include <limits>

#include "peft/tokenizers/processors/stages.h"
#include "peft/tokenizers/processors/template_pieces.h"

// The processors of BERT and RoBERTa, each a template with one more thing to do.
namespace peft::tokenizers {
namespace {

/// ["[CLS]", 101]
int64_t read_token(const JsonView& json) {
  const std::vector<JsonView> parts = json.items();
  if (parts.size() != 2) json.fail("expected [token, id]");
  return parts[1].integer(std::numeric_limits<int32_t>::max());
}

class RobertaProcessing : public Processor {
 public:
  RobertaProcessing(ProcessorPtr around, bool add_prefix_space, const TokenNames* trims)
      : around_(std::move(around)), add_prefix_space_(add_prefix_space), trims_(trims) {}

  void apply(std::vector<Encoding>& texts, bool add_special_tokens) const override {
    for (Encoding& text : texts) {
      if (trims_ != nullptr) trim_offsets(text, add_prefix_space_, *trims_);
    }
    around_->apply(texts, add_special_tokens);
  }
  size_t added_tokens(size_t texts) const override { return around_->added_tokens(texts); }

 private:
  ProcessorPtr around_;
  bool add_prefix_space_;
  const TokenNames* trims_;
};

}  // namespace

ProcessorPtr make_bert_processing(const JsonView& json) {
  const int64_t cls = read_token(json.at("cls")), sep = read_token(json.at("sep"));
  return make_template_processor({SpecialToken{cls, 0}, TextPlace{0, 0}, SpecialToken{sep, 0}},
                                 {SpecialToken{cls, 0}, TextPlace{0, 0}, SpecialToken{sep, 0},
                                  TextPlace{1, 1}, SpecialToken{sep, 1}});
}

ProcessorPtr make_roberta_processing(const JsonView& json, const TokenNames& names) {
  const int64_t cls = read_token(json.at("cls")), sep = read_token(json.at("sep"));
  auto around =
      make_template_processor({SpecialToken{cls, 0}, TextPlace{0, 0}, SpecialToken{sep, 0}},
                              {SpecialToken{cls, 0}, TextPlace{0, 0}, SpecialToken{sep, 0},
                               SpecialToken{sep, 0}, TextPlace{1, 0}, SpecialToken{sep, 0}});
  return std::make_unique<RobertaProcessing>(std::move(around),
                                             json.boolean("add_prefix_space", true),
                                             json.boolean("trim_offsets", true) ? &names : nullptr);
}

}  // namespace peft::tokenizers
