#include "peft/loftq.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "peft/adapter/tag.h"
#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/formats/checkpoint.h"
#include "peft/formats/safetensors_file.h"
#include "peft/methods/lora/init/factors.h"
#include "peft/methods/lora/layer.h"

namespace peft {
namespace {

namespace fs = std::filesystem;
using at::Tensor;

constexpr const char* kFunction = "replace_lora_weights_loftq: ";

// The weights from before quantising: one safetensors file, or a folder's shards.
class OriginalWeights {
 public:
  explicit OriginalWeights(const fs::path& path) : path_(path) {
    std::error_code error;
    const fs::path file = fs::is_directory(path, error) ? path / "model.safetensors" : path;
    if (fs::exists(file, error) || !fs::is_directory(path, error)) {
      names_ = file_.emplace(file).load_all().names();
      return;
    }
    shards_ = formats::Checkpoint::open(path);
    for (const auto& info : shards_->tensors()) names_.push_back(info.name);
  }

  // Under its name in the model, or that without the part that only the model's class has.
  Tensor load(const std::string& name) const {
    const std::string shorter = name.substr(name.find('.') + 1);
    for (const std::string& key : {name, shorter}) {
      if (std::find(names_.begin(), names_.end(), key) == names_.end()) continue;
      return file_ ? file_->load(key) : shards_->load(key);
    }
    throw NotFoundError(kFunction + path_.string() + ": expected a tensor " + quote(name) +
                        ", got none. Similar ones: " + join_names(closest_names(name, names_)) +
                        ". Name the checkpoint that the base was quantised from.");
  }

 private:
  fs::path path_;
  std::optional<formats::SafetensorsFile> file_;
  std::shared_ptr<formats::Checkpoint> shards_;
  std::vector<std::string> names_;
};

struct LoftqLayer {
  const lora::LoraLayer* layer;
  Tensor weight, original;  // as the model stores them
};

fs::path path_of_base(const Tuner& tuner) {
  if (tuner.facts().name_or_path) return *tuner.facts().name_or_path;
  throw ConfigError(std::string(kFunction) +
                    "model_path: expected the safetensors file with the weights from before "
                    "quantising, since the model does not know where it came from, got none. Give "
                    "the path.");
}

void check_loftq_site(const lora::LoraLayer& layer, const std::string& adapter) {
  if (!layer.adapter(adapter).variant) return;
  throw UnsupportedError(kFunction + layer.parameter_name() +
                         ": expected plain LoRA, got adapter " + quote(adapter) +
                         " with a variant, which keeps values that depend on A and B. Make the "
                         "adapter without it.");
}

bool takes_loftq(const Attachment& attachment, const lora::LoraLayer* layer,
                 const std::string& adapter) {
  if (attachment.beside || layer == nullptr || !layer->has(adapter)) return false;
  const Site& site = layer->site();
  const bool linear = site.kind == SiteKind::kLinear || site.kind == SiteKind::kTransposedLinear;
  return linear && !site.by_parameter;
}

std::vector<LoftqLayer> loftq_layers(const Tuner& tuner, const OriginalWeights& originals,
                                     const std::string& adapter) {
  std::vector<LoftqLayer> layers;
  for (const Attachment& attachment : tuner.attachments()) {
    const auto* layer = dynamic_cast<const lora::LoraLayer*>(attachment.layer.get());
    if (!takes_loftq(attachment, layer, adapter)) continue;
    check_loftq_site(*layer, adapter);
    const Tensor weight = base(attachment.found.weight).detach();
    const Tensor original = originals.load(layer->parameter_name());
    if (original.sizes() != weight.sizes()) {
      throw MismatchError(kFunction + layer->parameter_name() + ": expected shape " +
                          shape_text(weight.sizes().vec()) + " in the checkpoint, got " +
                          shape_text(original.sizes().vec()) +
                          ". Name the checkpoint that the base was quantised from.");
    }
    layers.push_back({.layer = layer, .weight = weight, .original = original});
  }
  if (!layers.empty()) return layers;
  throw ConfigError(std::string(kFunction) + "expected a linear layer with adapter " +
                    quote(adapter) + ", got none. Target linear layers.");
}

// What quantising has lost.  -> [O, I] float32
Tensor difference(const LoftqLayer& it) {
  const Tensor lost = it.original.to(it.weight.device(), at::kFloat) - it.weight.to(at::kFloat);
  return it.layer->site().kind == SiteKind::kTransposedLinear ? lost.t() : lost;
}

void check_quantised(const std::vector<LoftqLayer>& layers) {
  for (const LoftqLayer& it : layers) {
    if (difference(it).any().item<bool>()) return;
  }
  throw UnsupportedError(std::string(kFunction) +
                         "expected a base whose weights were quantised and put back into numbers, "
                         "got the checkpoint's own weights. Load the quantised model, or use "
                         "init_lora_weights = \"loftq\", which quantises by itself.");
}

// The factor in the place of the adapter's; of a smaller rank where the weight is small.
void put_factor(const Tensor& held, const Tensor& factor) {
  held.zero_();
  held.slice(0, 0, factor.size(0)).slice(1, 0, factor.size(1)).copy_(factor);
}

}  // namespace

void replace_lora_weights_loftq(PeftModel& model, const std::optional<fs::path>& model_path,
                                const std::string& adapter_name, const LoftqCallback& callback) {
  const Tuner& tuner = model.tuner();
  tuner.verify();
  tuner.config(adapter_name);
  if (tuner.merged()) {
    throw ConfigError(std::string(kFunction) +
                      "expected the base's own weights, got a model with merged adapters. Unmerge "
                      "them first.");
  }
  const OriginalWeights originals(model_path ? *model_path : path_of_base(tuner));
  const std::vector<LoftqLayer> layers = loftq_layers(tuner, originals, adapter_name);
  check_quantised(layers);
  for (const LoftqLayer& it : layers) {
    const lora::LoraAdapter& adapter = it.layer->adapter(adapter_name);
    const Tensor a = adapter.a.detach(), b = adapter.b.detach();
    const Tensor a_before = a.clone(), b_before = b.clone();
    {
      const at::NoGradGuard no_grad;
      const lora::Factors factors = lora::low_rank_factors(difference(it), a.size(0));
      put_factor(a, factors.a);
      put_factor(b, factors.b);
    }
    if (!callback || callback(model, it.layer->site().module_name)) continue;
    a.copy_(a_before);
    b.copy_(b_before);
  }
}

}  // namespace peft
