#pragma once

#include <stdexcept>
#include <string>

namespace peft {

/// Every error that this library throws on purpose. The children name what the caller can do.
///
/// Messages read `<where>: <what is wrong>: expected <...>, got <...>. <one next step>`.
/// A `c10::Error` that comes out of libtorch is a bug in the caller or in this library and is
/// passed through untouched.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message) : std::runtime_error(message) {}
};

/// A setting is wrong: mend the configuration.
class ConfigError : public Error {
 public:
  using Error::Error;
};

/// A target pattern reaches nothing in the model. Python PEFT: NoMatchingPeftModuleError, which is
/// a ValueError as this is a ConfigError.
class NoMatchError : public ConfigError {
 public:
  using ConfigError::ConfigError;
};

/// A file is damaged, truncated or hostile: fetch it again.
class FormatError : public Error {
 public:
  using Error::Error;
};

/// A file and a model disagree: missing or unexpected keys, another shape or dtype.
class MismatchError : public Error {
 public:
  using Error::Error;
};

/// A path, adapter name, module name or repository does not exist.
class NotFoundError : public Error {
 public:
  using Error::Error;
};

/// The operating system refused: a full disk, a missing permission.
class IoError : public Error {
 public:
  using Error::Error;
};

/// A remote host failed or could not be reached: try again.
class NetworkError : public Error {
 public:
  using Error::Error;
};

/// A valid request that this library does not serve; the message names the alternative.
class UnsupportedError : public Error {
 public:
  using Error::Error;
};

}  // namespace peft
