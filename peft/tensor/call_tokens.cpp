#include "peft/tensor/call_tokens.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

namespace peft {
namespace {

thread_local std::shared_ptr<const CallTokens> running;

int64_t since_last_in_row(const int64_t* row, int64_t length, const std::vector<int64_t>& wanted) {
  const auto size = static_cast<int64_t>(wanted.size());
  for (int64_t start = length - size; start >= 0; --start) {
    if (std::equal(wanted.begin(), wanted.end(), row + start)) return length - start;
  }
  return 0;
}

}  // namespace

std::vector<int64_t> CallTokens::since_last(const std::vector<int64_t>& wanted) const {
  if (!given_.empty() || !input_ids_.defined() || wanted.empty()) return given_;
  const std::lock_guard lock(mutex_);
  const auto known = found_.find(wanted);
  if (known != found_.end()) return known->second;
  const at::Tensor ids = input_ids_.to(at::kCPU, at::kLong).contiguous();
  const int64_t length = ids.size(-1);
  std::vector<int64_t> offsets;
  for (int64_t row = 0; row < ids.numel() / std::max<int64_t>(length, 1); ++row) {
    offsets.push_back(
        since_last_in_row(ids.const_data_ptr<int64_t>() + row * length, length, wanted));
  }
  return found_[wanted] = offsets;
}

std::shared_ptr<const CallTokens> CallTokens::select(const std::vector<int64_t>& rows) const {
  if (given_.empty()) {
    const at::Tensor ids = input_ids_.defined()
                               ? input_ids_.index_select(0, at::tensor(rows, at::kLong))
                               : at::Tensor();
    return std::make_shared<CallTokens>(ids);
  }
  std::vector<int64_t> offsets;
  for (const int64_t row : rows) offsets.push_back(given_.at(static_cast<size_t>(row)));
  return std::make_shared<CallTokens>(std::move(offsets));
}

std::shared_ptr<const CallTokens> CallTokens::current() { return running; }

CallTokensScope::CallTokensScope(std::shared_ptr<const CallTokens> tokens)
    : before_(std::exchange(running, std::move(tokens))) {}

CallTokensScope::~CallTokensScope() { running = std::move(before_); }

}  // namespace peft
