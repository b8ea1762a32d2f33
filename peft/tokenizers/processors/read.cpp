#include "peft/tokenizers/processors/stages.h"

namespace peft::tokenizers {
namespace {

class ProcessorSequence : public Processor {
 public:
  explicit ProcessorSequence(std::vector<ProcessorPtr> stages) : stages_(std::move(stages)) {}

  void apply(std::vector<Encoding>& texts, bool add_special_tokens) const override {
    for (const ProcessorPtr& stage : stages_) stage->apply(texts, add_special_tokens);
  }
  size_t added_tokens(size_t texts) const override {
    size_t count = 0;
    for (const ProcessorPtr& stage : stages_) count += stage->added_tokens(texts);
    return count;
  }

 private:
  std::vector<ProcessorPtr> stages_;
};

}  // namespace

std::unique_ptr<const Processor> read_processor(const JsonView& json, const TokenNames& names) {
  const std::string type = json.at("type").string();
  if (type == "TemplateProcessing") return make_template_processing(json);
  if (type == "ByteLevel") return make_byte_level_processor(json, names);
  if (type == "BertProcessing") return make_bert_processing(json);
  if (type == "RobertaProcessing") return make_roberta_processing(json, names);
  if (type == "Sequence") {
    std::vector<ProcessorPtr> stages;
    for (const JsonView& stage : json.at("processors").items()) {
      stages.push_back(read_processor(stage, names));
    }
    return std::make_unique<ProcessorSequence>(std::move(stages));
  }
  fail_unknown_type(
      json, "post-processor",
      {"TemplateProcessing", "ByteLevel", "BertProcessing", "RobertaProcessing", "Sequence"});
}

}  // namespace peft::tokenizers
