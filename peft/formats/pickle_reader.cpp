#include "peft/formats/pickle_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <unordered_map>

#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/formats/bytes.h"

namespace peft::formats {
namespace {

using Kind = PickleValue::Kind;

constexpr size_t kMaxPickle = size_t{16} << 20;
constexpr size_t kMaxValues = size_t{1} << 20;  // one byte may make a value of a hundred
constexpr uint64_t kFirstProtocol = 2, kLastProtocol = 5;
constexpr std::string_view kOrderedDict = "collections OrderedDict";

// "torch._utils _rebuild_tensor_v2" -> "torch._utils._rebuild_tensor_v2"
std::string dotted(std::string name) {
  std::replace(name.begin(), name.end(), ' ', '.');
  return name;
}

class PickleReader {
 public:
  PickleReader(std::span<const std::byte> bytes, std::string_view where,
               std::span<const std::string_view> allowed)
      : bytes_(bytes), where_(where), allowed_(allowed) {}

  Pickle read() {
    if (bytes_.size() > kMaxPickle) {
      fail(fmt::format("expected at most {} bytes, got {}", kMaxPickle, bytes_.size()));
    }
    if (take(1) != 0x80) fail("expected a pickle of protocol 2 or later, got other bytes");
    const uint64_t protocol = take(1);
    if (protocol < kFirstProtocol || protocol > kLastProtocol) {
      fail(fmt::format("expected protocol {} to {}, got {}", kFirstProtocol, kLastProtocol,
                       protocol));
    }
    for (;;) {
      const auto opcode = static_cast<uint8_t>(take(1));
      if (opcode == '.') break;
      if (!read_scalar(opcode) && !read_container(opcode) && !read_object(opcode) &&
          !read_memo(opcode)) {
        throw UnsupportedError(fmt::format(
            "{}: expected what a file of tensors needs, got the opcode 0x{:02x} at byte {}. Save "
            "the tensors alone, with torch.save or as safetensors.",
            where_, opcode, at_ - 1));
      }
    }
    pickle_.root = pop();
    return std::move(pickle_);
  }

 private:
  bool read_scalar(uint8_t opcode) {
    switch (opcode) {
      case 'N':
        push({.kind = Kind::kNone});
        return true;
      case 0x88:
      case 0x89:
        push({.kind = Kind::kBool, .integer = opcode == 0x88});
        return true;
      case 'J':
        push_integer(static_cast<int32_t>(take(4)));
        return true;
      case 'K':
        push_integer(static_cast<int64_t>(take(1)));
        return true;
      case 'M':
        push_integer(static_cast<int64_t>(take(2)));
        return true;
      case 0x8a:
        push_integer(take_long());
        return true;
      case 'G':
        push({.kind = Kind::kReal, .real = std::bit_cast<double>(__builtin_bswap64(take(8)))});
        return true;
      case 'X':
        push_text(take(4));
        return true;
      case 0x8c:
        push_text(take(1));
        return true;
      case 0x8d:
        push_text(take(8));
        return true;
      default:
        return false;
    }
  }

  bool read_container(uint8_t opcode) {
    switch (opcode) {
      case '(':
        marks_.push_back(stack_.size());
        return true;
      case ')':
        push({.kind = Kind::kTuple});
        return true;
      case ']':
        push({.kind = Kind::kList});
        return true;
      case '}':
        push({.kind = Kind::kDict});
        return true;
      case 't':
        push({.kind = Kind::kTuple, .items = pop_to_mark()});
        return true;
      case 0x85:
      case 0x86:
      case 0x87:
        push({.kind = Kind::kTuple, .items = pop_several(opcode - 0x84u)});
        return true;
      case 'a':
        extend(Kind::kList, pop_several(1));
        return true;
      case 'e':
        extend(Kind::kList, pop_to_mark());
        return true;
      case 's':
        extend(Kind::kDict, pop_several(2));
        return true;
      case 'u':
        extend(Kind::kDict, pop_to_mark());
        return true;
      default:
        return false;
    }
  }

  bool read_object(uint8_t opcode) {
    switch (opcode) {
      case 'c': {
        const std::string module = take_line();
        push_global(module + " " + take_line());
        return true;
      }
      case 0x93: {
        const auto parts = pop_several(2);
        for (const uint32_t part : parts) {
          if (value(part).kind != Kind::kText) fail("expected the name of a class");
        }
        push_global(value(parts[0]).text + " " + value(parts[1]).text);
        return true;
      }
      case 'R':
        push_call(pop_several(2));
        return true;
      case 'b':  // an object's state, such as OrderedDict's _metadata: no tensor needs any
        pop();
        if (stack_.empty()) fail("expected an object for a state, got none");
        return true;
      case 'Q':
        push({.kind = Kind::kPersistent, .items = pop_several(1)});
        return true;
      default:
        return false;
    }
  }

  bool read_memo(uint8_t opcode) {
    switch (opcode) {
      case 'q':
        memo_[take(1)] = top();
        return true;
      case 'r':
        memo_[take(4)] = top();
        return true;
      case 0x94:
        memo_[memo_.size()] = top();
        return true;
      case 'h':
        recall(take(1));
        return true;
      case 'j':
        recall(take(4));
        return true;
      case 0x95:  // a frame: only a hint how much to read at once
        take(8);
        return true;
      default:
        return false;
    }
  }

  void push(PickleValue value) {
    if (pickle_.values.size() >= kMaxValues) {
      fail(fmt::format("expected at most {} values, got more", kMaxValues));
    }
    stack_.push_back(static_cast<uint32_t>(pickle_.values.size()));
    pickle_.values.push_back(std::move(value));
  }

  void push_integer(int64_t integer) { push({.kind = Kind::kInteger, .integer = integer}); }

  void push_text(uint64_t length) {
    const auto text = take_bytes(length);
    push({.kind = Kind::kText, .text = std::string(text)});
  }

  void push_global(std::string name) {
    if (std::find(allowed_.begin(), allowed_.end(), name) == allowed_.end()) {
      throw UnsupportedError(fmt::format(
          "{}: expected a file of tensors, got one that names {}, which is not opened: it could "
          "run any code. Load it where you trust it and save the tensors as safetensors.",
          where_, quote(dotted(name))));
    }
    push({.kind = Kind::kGlobal, .text = std::move(name)});
  }

  void push_call(std::vector<uint32_t> parts) {
    const PickleValue& callee = value(parts[0]);
    const PickleValue& arguments = value(parts[1]);
    if (callee.kind != Kind::kGlobal || arguments.kind != Kind::kTuple) {
      fail("expected a call of a named function with a tuple, got another one");
    }
    if (callee.text == kOrderedDict) {
      if (!arguments.items.empty()) fail("expected an empty OrderedDict to be filled later");
      push({.kind = Kind::kDict});
      return;
    }
    push({.kind = Kind::kCall, .items = std::move(parts)});
  }

  void extend(Kind kind, const std::vector<uint32_t>& items) {
    PickleValue& target = pickle_.values[top()];
    if (target.kind != kind || (kind == Kind::kDict && items.size() % 2 != 0)) {
      fail("expected a container that takes these items, got another value");
    }
    target.items.insert(target.items.end(), items.begin(), items.end());
  }

  const PickleValue& value(uint32_t place) const { return pickle_.values[place]; }

  // What lies below the last mark belongs to the container around it.
  size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }

  uint32_t top() const {
    if (stack_.size() <= floor()) fail("expected a value on the stack, got none");
    return stack_.back();
  }

  uint32_t pop() {
    const uint32_t place = top();
    stack_.pop_back();
    return place;
  }

  std::vector<uint32_t> pop_several(size_t count) {
    if (stack_.size() - floor() < count) fail("expected more values on the stack");
    std::vector<uint32_t> items(stack_.end() - static_cast<ptrdiff_t>(count), stack_.end());
    stack_.resize(stack_.size() - count);
    return items;
  }

  std::vector<uint32_t> pop_to_mark() {
    if (marks_.empty()) fail("expected a mark on the stack, got none");
    std::vector<uint32_t> items = pop_several(stack_.size() - marks_.back());
    marks_.pop_back();
    return items;
  }

  void recall(uint64_t key) {
    const auto found = memo_.find(key);
    if (found == memo_.end()) fail(fmt::format("expected a value of number {}, got none", key));
    stack_.push_back(found->second);
  }

  uint64_t take(size_t count) {
    uint64_t number = 0;
    const auto text = take_bytes(count);
    for (size_t i = 0; i < count; ++i) {
      number |= uint64_t{static_cast<uint8_t>(text[i])} << (8 * i);
    }
    return number;
  }

  // A whole number of any length, lowest byte first, in two's complement.
  int64_t take_long() {
    const uint64_t length = take(1);
    if (length > sizeof(int64_t)) fail(fmt::format("a whole number has {} bytes", length));
    uint64_t number = take(length);
    if (length != 0 && length < sizeof(int64_t) && (number >> (8 * length - 1) & 1) != 0) {
      number |= ~uint64_t{0} << (8 * length);
    }
    return static_cast<int64_t>(number);
  }

  std::string_view take_bytes(uint64_t count) {
    if (count > bytes_.size() - at_) {
      fail(fmt::format("expected {} more bytes, got {}", count, bytes_.size() - at_));
    }
    const auto* begin = reinterpret_cast<const char*>(bytes_.data()) + at_;
    at_ += count;
    return {begin, count};
  }

  std::string take_line() {
    const std::string_view rest(reinterpret_cast<const char*>(bytes_.data()) + at_,
                                bytes_.size() - at_);
    const size_t end = rest.find('\n');
    if (end == std::string_view::npos) fail("expected a line, got the end of the file");
    return std::string(take_bytes(end + 1).substr(0, end));
  }

  [[noreturn]] void fail(std::string_view reason) const {
    throw FormatError(fmt::format("{}: pickle, byte {}: {}. {}", where_, at_, reason, kRefetch));
  }

  std::span<const std::byte> bytes_;
  std::string_view where_;
  std::span<const std::string_view> allowed_;
  size_t at_ = 0;
  Pickle pickle_ = {};
  std::vector<uint32_t> stack_ = {};
  std::vector<size_t> marks_ = {};  // heights of the stack
  std::unordered_map<uint64_t, uint32_t> memo_ = {};
};

}  // namespace

Pickle read_pickle(std::span<const std::byte> bytes, std::string_view where,
                   std::span<const std::string_view> allowed) {
  return PickleReader(bytes, where, allowed).read();
}

std::string describe(const Pickle& pickle, uint32_t place) {
  const PickleValue& value = pickle.values[place];
  switch (value.kind) {
    case Kind::kNone:
      return "None";
    case Kind::kBool:
      return value.integer != 0 ? "True" : "False";
    case Kind::kInteger:
      return fmt::format("the number {}", value.integer);
    case Kind::kReal:
      return fmt::format("the number {}", value.real);
    case Kind::kText:
      return "the text " + quote(value.text);
    case Kind::kTuple:
      return "a tuple";
    case Kind::kList:
      return "a list";
    case Kind::kDict:
      return "a dictionary";
    case Kind::kGlobal:
      return "the name " + quote(dotted(value.text));
    case Kind::kCall:
      return "a call of " + quote(dotted(pickle.values[value.items[0]].text));
    case Kind::kPersistent:
      return "a reference to a storage";
  }
  return "a value";
}

}  // namespace peft::formats
