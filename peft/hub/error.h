#pragma once

#include "peft/base/error.h"

namespace peft::hub {

/// The Hub knows the thing but not this user: log in, or ask for access.
class AccessError : public Error {
 public:
  using Error::Error;
};

/// There is no host of that name, or nobody listens there: asking again at once helps nobody.
class UnreachableError : public NetworkError {
 public:
  using NetworkError::NetworkError;
};

}  // namespace peft::hub
