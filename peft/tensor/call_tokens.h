#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

namespace peft {

/// The tokens of the model call that is running, for layers that act from certain tokens on.
class CallTokens {
 public:
  /// input_ids [B, T] of any integer type; undefined: not known, so that nothing is found in them.
  explicit CallTokens(at::Tensor input_ids) : input_ids_(std::move(input_ids)) {}
  /// The answers themselves, one a row, whatever is asked for.
  explicit CallTokens(std::vector<int64_t> offsets) : given_(std::move(offsets)) {}

  /// For each row the number of tokens from the start of the last place that `wanted` stands at to
  /// the end of the row, 0 where it stands nowhere. Empty where the tokens are not known.
  std::vector<int64_t> since_last(const std::vector<int64_t>& wanted) const;

  /// The same for some of the rows, in the order given.
  std::shared_ptr<const CallTokens> select(const std::vector<int64_t>& rows) const;

  /// Those of the innermost scope of this thread; null outside of one.
  static std::shared_ptr<const CallTokens> current();

 private:
  at::Tensor input_ids_;
  std::vector<int64_t> given_;
  mutable std::mutex mutex_;
  mutable std::map<std::vector<int64_t>, std::vector<int64_t>> found_;
};

/// While it lives, calls in this thread are about these tokens. What is computed again in backward
/// is about those of its forward.
class [[nodiscard]] CallTokensScope {
 public:
  explicit CallTokensScope(std::shared_ptr<const CallTokens> tokens);
  explicit CallTokensScope(const at::Tensor& input_ids)
      : CallTokensScope(std::make_shared<CallTokens>(input_ids)) {}
  CallTokensScope(const CallTokensScope&) = delete;
  CallTokensScope& operator=(const CallTokensScope&) = delete;
  ~CallTokensScope();

 private:
  std::shared_ptr<const CallTokens> before_;
};

}  // namespace peft
