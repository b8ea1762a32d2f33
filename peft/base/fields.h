#pragma once

#include <string_view>
#include <type_traits>

namespace peft {

namespace detail {
struct AnyField {
  template <typename Value, typename... More>
  void operator()(std::string_view, Value&, std::string_view, More&&...) const {}
};
}  // namespace detail

/// A struct that lists its own fields once. Reader, writer, command line flags, help and the tables
/// in the documentation all come from this list:
///
///   struct Options {
///     int64_t r = 8;
///     static void fields(auto& self, auto&& field) {
///       field("r", self.r, "Rank of the update matrices.");
///     }
///   };
///
/// `field` is called with the key, the member and one sentence of help, in the order of the file.
template <typename T>
concept Described = std::is_class_v<T> && requires(T& object, const T& constant) {
  T::fields(object, detail::AnyField{});
  T::fields(constant, detail::AnyField{});
};

}  // namespace peft
