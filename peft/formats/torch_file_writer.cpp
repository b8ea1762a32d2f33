#include <ATen/ATen.h>
#include <fmt/format.h>

#include <array>
#include <limits>
#include <map>
#include <span>
#include <tuple>
#include <vector>

#include "peft/base/error.h"
#include "peft/base/file.h"
#include "peft/base/text.h"
#include "peft/formats/torch_checkpoint_file.h"
#include "peft/formats/torch_file.h"
#include "peft/tensor/dtype.h"

namespace peft::formats {
namespace {

constexpr uint64_t kAlignment = 64;  // of a storage in the file, as torch.save aligns them

void append_number(std::string& out, uint64_t number, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) out += static_cast<char>(number >> (8 * i) & 0xff);
}

constexpr std::array<uint32_t, 256> make_crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < table.size(); ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? 0xedb88320u : 0u);
    table[i] = value;
  }
  return table;
}

uint32_t crc32(std::span<const std::byte> bytes) {
  static constexpr auto kTable = make_crc_table();
  uint32_t crc = 0xffffffffu;
  for (const std::byte byte : bytes) {
    crc = kTable[(crc ^ std::to_integer<uint32_t>(byte)) & 0xff] ^ (crc >> 8);
  }
  return ~crc;
}

/// Stored entries one after the other, then the directory.
class ZipWriter {
 public:
  ZipWriter(const std::filesystem::path& path, std::string folder)
      : path_(path), file_(path), folder_(std::move(folder)) {}

  void add(const std::string& name, std::span<const std::byte> bytes) {
    const std::string full = folder_ + "/" + name;
    const uint64_t begin = at_;
    const uint64_t header = 30 + full.size();
    // The extra field is padding: an unknown kind ("FB", as PyTorch's own), skipped by readers.
    const uint64_t padding = (kAlignment - (begin + header + 4) % kAlignment) % kAlignment;
    std::string fields;
    append_number(fields, 20, 2);      // version that can read it
    append_number(fields, 0x0800, 2);  // names are UTF-8
    append_number(fields, 0, 2);       // stored
    append_number(fields, 0, 2);       // time
    append_number(fields, 0x21, 2);    // date: 1980-01-01, the first there is
    append_number(fields, crc32(bytes), 4);
    append_number(fields, bytes.size(), 4);
    append_number(fields, bytes.size(), 4);
    append_number(fields, full.size(), 2);
    check_room(begin + header + 4 + padding + bytes.size());
    std::string local = "PK\3\4" + fields;
    append_number(local, 4 + padding, 2);
    local += full + "FB";
    append_number(local, padding, 2);
    local.append(padding, 'Z');
    file_.write(std::string_view(local));
    file_.write(bytes);
    at_ += local.size() + bytes.size();
    add_to_directory(fields, full, begin);
  }

  void finish() {
    const uint64_t begin = at_;
    file_.write(std::string_view(directory_));
    std::string end = "PK\5\6";
    append_number(end, 0, 4);
    append_number(end, count_, 2);
    append_number(end, count_, 2);
    append_number(end, directory_.size(), 4);
    append_number(end, begin, 4);
    append_number(end, 0, 2);
    check_room(begin + directory_.size());
    file_.write(std::string_view(end));
    file_.commit();
  }

 private:
  void add_to_directory(const std::string& fields, const std::string& name, uint64_t begin) {
    directory_ += "PK\1\2";
    append_number(directory_, 20, 2);  // version that wrote it
    directory_ += fields;
    append_number(directory_, 0, 2);  // extra
    append_number(directory_, 0, 2);  // comment
    append_number(directory_, 0, 2);  // disk
    append_number(directory_, 0, 2);  // attributes
    append_number(directory_, 0, 4);
    append_number(directory_, begin, 4);
    directory_ += name;
    ++count_;
  }

  void check_room(uint64_t end) const {
    if (end < std::numeric_limits<uint32_t>::max() && count_ < 0xffff - 1) return;
    throw UnsupportedError(path_.string() +
                           ": expected less than 4 GB and 65,534 tensors for a pickled file, got "
                           "more. Save with safe_serialization = true.");
  }

  std::filesystem::path path_;
  AtomicFile file_;
  std::string folder_, directory_;
  uint64_t at_ = 0, count_ = 0;
};

/// The pickle of a dictionary of tensors, and the storages that it refers to.
class StateDictPickler {
 public:
  explicit StateDictPickler(const StateDict& tensors) : out_("\x80\x02}(") {
    for (const auto& [name, tensor] : tensors) {
      text(name);
      add_tensor(tensor.detach());
    }
    out_ += "u.";
  }

  const std::string& pickle() const { return out_; }
  const std::vector<at::Tensor>& storages() const { return storages_; }

 private:
  void add_tensor(const at::Tensor& tensor) {
    const auto [key, plain] = storage_of(tensor);
    const std::string_view word = safetensors_word(plain.scalar_type());
    const bool untyped = torch_storage_name(word).empty();
    global("torch._utils", untyped ? "_rebuild_tensor_v3" : "_rebuild_tensor_v2");
    out_ += "((";  // the arguments; the persistent id
    text("storage");
    if (untyped) {
      global("torch.storage", "UntypedStorage");
    } else {
      global("torch", torch_storage_name(word));
    }
    text(std::to_string(key));
    text("cpu");
    integer(untyped ? static_cast<int64_t>(plain.nbytes()) : plain.numel());
    out_ += "tQ";
    integer(0);
    integers(tensor.sizes());
    integers(plain.strides());
    out_ += "\x89";  // requires_grad
    global("collections", "OrderedDict");
    out_ += ")R";  // no hooks
    if (untyped) global("torch", torch_untyped_name(word));
    out_ += "tR";
  }

  std::pair<size_t, at::Tensor> storage_of(const at::Tensor& tensor) {
    const void* address = tensor.numel() == 0 ? nullptr : tensor.const_data_ptr();
    const auto place =
        std::tuple(address, tensor.scalar_type(), tensor.sizes().vec(), tensor.strides().vec());
    if (const auto found = shared_.find(place); address != nullptr && found != shared_.end()) {
      return {found->second, storages_[found->second]};
    }
    shared_[place] = storages_.size();
    storages_.push_back(tensor.resolve_conj().resolve_neg().to(at::kCPU).contiguous());
    return {storages_.size() - 1, storages_.back()};
  }

  void text(std::string_view value) {
    out_ += 'X';
    append_number(out_, value.size(), 4);
    out_ += value;
  }

  void integer(int64_t number) {
    if (number >= 0 && number <= std::numeric_limits<int32_t>::max()) {
      out_ += 'J';
      append_number(out_, static_cast<uint64_t>(number), 4);
      return;
    }
    out_ += "\x8a\x08";
    append_number(out_, static_cast<uint64_t>(number), 8);
  }

  void integers(at::IntArrayRef numbers) {
    out_ += '(';
    for (const int64_t number : numbers) integer(number);
    out_ += 't';
  }

  void global(std::string_view module, std::string_view name) {
    out_ += fmt::format("c{}\n{}\n", module, name);
  }

  using Place = std::tuple<const void*, at::ScalarType, std::vector<int64_t>, std::vector<int64_t>>;
  std::string out_;
  std::vector<at::Tensor> storages_;
  std::map<Place, size_t> shared_;
};

}  // namespace

void write_torch_file(const std::filesystem::path& path, const StateDict& tensors) {
  for (const auto& [name, tensor] : tensors) {
    if (is_valid_utf8(name)) continue;
    throw ConfigError(fmt::format("{}: tensor {}: expected a name in UTF-8. Rename the tensor.",
                                  path.string(), quote(name)));
  }
  const StateDictPickler pickler(tensors);
  ZipWriter zip(path, path.stem().string());
  const auto bytes = [](std::string_view text) { return std::as_bytes(std::span(text)); };
  zip.add("data.pkl", bytes(pickler.pickle()));
  zip.add("byteorder", bytes("little"));
  for (size_t i = 0; i < pickler.storages().size(); ++i) {
    const at::Tensor& storage = pickler.storages()[i];
    zip.add("data/" + std::to_string(i),
            {static_cast<const std::byte*>(storage.const_data_ptr()), storage.nbytes()});
  }
  zip.add("version", bytes("3\n"));
  zip.finish();
}

}  // namespace peft::formats
