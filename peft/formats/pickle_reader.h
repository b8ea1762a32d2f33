#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace peft::formats {

/// One value of a pickle. A call is only described, never made.
struct PickleValue {
  enum class Kind {
    kNone,
    kBool,        // integer
    kInteger,     // integer
    kReal,        // real
    kText,        // text
    kTuple,       // items
    kList,        // items
    kDict,        // items: key, value, key, value, ...; OrderedDict too
    kGlobal,      // text: "module name"
    kCall,        // items: what is called, the tuple of its arguments
    kPersistent,  // items: the id that stands for an outside object
  };
  Kind kind = Kind::kNone;
  int64_t integer = 0;
  double real = 0;
  std::string text = {};
  std::vector<uint32_t> items = {};  // places in Pickle::values
};

struct Pickle {
  std::vector<PickleValue> values;  // one value may be an item of several, even of itself
  uint32_t root = 0;
};

/// Takes the bytes of a pickle (protocols 2 to 5) apart without running anything: the opcodes that
/// numbers, texts, containers and described calls need, every other one is refused. Names of
/// functions and classes must be among `allowed` ("module name"). The work and the memory are in
/// proportion to the bytes, of which there may be 16 MiB, and to the values, at most 2^20: a tensor
/// takes about twenty.
/// Throws: FormatError; UnsupportedError (a name that is not allowed).
/// Source: Lib/pickletools.py; torch/_weights_only_unpickler.py.
Pickle read_pickle(std::span<const std::byte> bytes, std::string_view where,
                   std::span<const std::string_view> allowed);

/// "the number 3", "a call of 'torch._utils._rebuild_tensor_v2'": a value for an error message.
std::string describe(const Pickle& pickle, uint32_t value);

}  // namespace peft::formats
