#include "peft/adapter/mixed_batch.h"

#include <algorithm>

#include "peft/base/error.h"
#include "peft/base/text.h"

namespace peft {
namespace {

void check_names(const Tuner& tuner, const AdapterRows& rows) {
  std::vector<std::string> unknown;
  for (const std::string& adapter : rows.adapters) {
    if (!tuner.has(adapter)) unknown.push_back(adapter);
  }
  if (unknown.empty()) return;
  std::sort(unknown.begin(), unknown.end());
  std::vector<std::string> known;
  for (const auto& [name, config] : tuner.configs()) known.push_back(name);
  throw NotFoundError("adapter_names: trying to infer with non-existing adapter(s) " +
                      join_names(unknown) + ": expected one of " + join_names(known) + " or '" +
                      std::string(kBaseRow) + "'. Load it first.");
}

void check_state(const Tuner& tuner) {
  if (tuner.tree().parameter_root()->is_training()) {
    throw ConfigError(
        "adapter_names: they cannot be passed when the model is in training mode: expected "
        "evaluation mode. Call eval() first.");
  }
  if (tuner.merged()) {
    throw ConfigError(
        "adapter_names: they cannot be passed when there are merged adapters: expected unmerged "
        "weights. Call unmerge_adapter() first.");
  }
}

void check_layers(const Tuner& tuner, const AdapterRows& rows) {
  const auto refuse = [](const std::string& where, const std::string& reason) {
    throw UnsupportedError("adapter_names: " + where + ": " + reason +
                           ". Run the rows of this adapter by themselves.");
  };
  for (const std::string& adapter : rows.adapters) {
    for (const Attachment& attachment : tuner.attachments()) {
      if (!attachment.layer->has(adapter)) continue;
      const std::string reason = attachment.layer->mixed_batch_obstacle(adapter);
      if (!reason.empty()) refuse(attachment.layer->parameter_name(), reason);
    }
    for (const auto& saved : tuner.saved_modules()) {
      if (!saved->has(adapter)) continue;
      const std::string reason = saved->mixed_batch_obstacle();
      if (!reason.empty()) refuse(saved->module().name, reason);
    }
  }
}

}  // namespace

void Tuner::set_rows(std::shared_ptr<const AdapterRows> rows) {
  rows_ = std::move(rows);
  for (Attachment& attachment : attachments_) attachment.layer->set_rows(rows_);
  for (const auto& saved : saved_) saved->set_rows(rows_);
}

MixedBatch::MixedBatch(std::shared_ptr<Tuner> tuner, const std::vector<std::string>& adapter_names)
    : tuner_(std::move(tuner)),
      all_(std::make_shared<AdapterRows>(AdapterRows::of(adapter_names))),
      before_(tuner_->rows()) {
  check_state(*tuner_);
  check_names(*tuner_, *all_);
  check_layers(*tuner_, *all_);
  tuner_->set_rows(all_);
}

MixedBatch::~MixedBatch() { tuner_->set_rows(before_); }

void MixedBatch::keep_rows(const std::vector<int64_t>& rows) {
  tuner_->set_rows(std::make_shared<AdapterRows>(all_->select(rows)));
}

}  // namespace peft
