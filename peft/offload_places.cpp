#include "peft/offload_places.h"

#include <ATen/ATen.h>

#include <span>
#include <system_error>
#include <utility>

#include "peft/base/error.h"
#include "peft/base/file.h"
#include "peft/base/mapped_file.h"
#include "peft/base/text.h"
#include "peft/formats/safetensors_file.h"
#include "peft/formats/safetensors_writer.h"

namespace peft {
namespace {

namespace fs = std::filesystem;

class InMemory final : public OffloadedWeight {
 public:
  InMemory(const at::Tensor& values, at::Device device) : device_(device) {
    values_ = values.to(at::kCPU).contiguous();
    if (device.is_cuda()) values_ = values_.pin_memory();
  }

  at::Tensor bring_in() const override { return values_.to(device_, /*non_blocking=*/true); }
  std::shared_ptr<const OffloadedWeight> with(const at::Tensor& values) const override {
    return std::make_shared<InMemory>(values.to(values_.scalar_type()), device_);
  }

 private:
  at::Tensor values_;
  at::Device device_;
};

/// Deletes a file of ours when the last weight in it goes.
class OwnFile {
 public:
  explicit OwnFile(fs::path path) : path_(std::move(path)) {}
  OwnFile(const OwnFile&) = delete;
  OwnFile& operator=(const OwnFile&) = delete;
  ~OwnFile() {
    std::error_code ignored;
    fs::remove(path_, ignored);
  }

 private:
  fs::path path_;
};

std::span<const std::byte> bytes_of(const at::Tensor& tensor) {
  return {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()};
}

struct DiskFacts {
  std::string name;  // of the parameter
  std::string key;   // in the file
  at::ScalarType dtype;
  at::Device device;
  fs::path folder;  // for other values
};

class OnDisk final : public OffloadedWeight {
 public:
  OnDisk(std::shared_ptr<const formats::SafetensorsFile> file, DiskFacts facts,
         std::shared_ptr<const OwnFile> own = nullptr)
      : own_(std::move(own)), file_(std::move(file)), facts_(std::move(facts)) {}

  // The pages of the file count as this process's memory while the values are in use only.
  at::Tensor bring_in() const override {
    const at::Tensor mapped = file_->load(facts_.key);
    if (mapped.numel() == 0) return mapped.to(facts_.device, facts_.dtype);
    if (mapped.scalar_type() == facts_.dtype && facts_.device.is_cpu()) {
      return at::from_blob(
          mapped.data_ptr(), mapped.sizes(),
          [mapped](void*) { MappedFile::release(bytes_of(mapped)); }, mapped.options());
    }
    const at::Tensor values = mapped.to(facts_.device, facts_.dtype);
    MappedFile::release(bytes_of(mapped));
    return values;
  }

  std::shared_ptr<const OffloadedWeight> with(const at::Tensor& values) const override {
    return keep_on_disk(facts_.name, values.to(facts_.dtype), facts_.device, facts_.folder);
  }

 private:
  std::shared_ptr<const OwnFile> own_;  // goes after the mapping
  std::shared_ptr<const formats::SafetensorsFile> file_;
  DiskFacts facts_;
};

// A name that no file has: the former values of a weight stay beside the new ones.
fs::path free_name(const fs::path& folder, const std::string& name) {
  fs::path path = folder / (name + ".safetensors");
  for (int i = 1; fs::exists(path); ++i) {
    path = folder / (name + "." + std::to_string(i) + ".safetensors");
  }
  return path;
}

}  // namespace

std::shared_ptr<const OffloadedWeight> keep_in_memory(const at::Tensor& values, at::Device device) {
  return std::make_shared<InMemory>(values, device);
}

std::shared_ptr<const OffloadedWeight> keep_on_disk(const std::string& name,
                                                    const at::Tensor& values, at::Device device,
                                                    const fs::path& folder) {
  if (folder.empty()) {
    throw ConfigError("offload: " + quote(name) +
                      ": expected offload_dir, a folder for values that stay on disk and are in "
                      "no file yet, got none. Name a folder with room for them.");
  }
  ensure_folder(folder);
  const fs::path path = free_name(folder, name);
  formats::write_safetensors(path, {{name, values}});
  auto own = std::make_shared<const OwnFile>(path);
  return std::make_shared<OnDisk>(std::make_shared<const formats::SafetensorsFile>(path),
                                  DiskFacts{name, name, values.scalar_type(), device, folder},
                                  std::move(own));
}

std::shared_ptr<const OffloadedWeight> find_on_disk(const std::string& name,
                                                    const at::Tensor& weight, at::Device device,
                                                    const OffloadEntry& entry,
                                                    const fs::path& folder) {
  auto file = std::make_shared<const formats::SafetensorsFile>(entry.safetensors_file);
  const at::Tensor there = file->load(entry.weight_name);
  if (there.sizes() != weight.sizes()) {
    throw MismatchError(entry.safetensors_file.string() + ": " + quote(entry.weight_name) +
                        ": expected shape " + shape_text(weight.sizes().vec()) + " of " +
                        quote(name) + ", got " + shape_text(there.sizes().vec()) +
                        ". The index and the model do not belong together.");
  }
  return std::make_shared<OnDisk>(
      std::move(file), DiskFacts{name, entry.weight_name, weight.scalar_type(), device, folder});
}

}  // namespace peft
