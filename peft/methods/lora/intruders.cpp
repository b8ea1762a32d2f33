#include "peft/methods/lora/intruders.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "peft/adapter/folding.h"
#include "peft/adapter/tag.h"
#include "peft/base/error.h"
#include "peft/methods/lora/layer.h"

namespace peft::lora {
namespace {

using at::Tensor;

void check_intruder_layer(const LoraLayer& layer, const std::string& adapter) {
  const SiteKind kind = layer.site().kind;
  const bool matrix = kind == SiteKind::kLinear || has_input_rows(layer.site().kind);
  if (matrix && !layer.adapter(adapter).variant) return;
  throw UnsupportedError("reduce_intruder_dimension: " + layer.parameter_name() +
                         ": expected plain LoRA on linear layers and embeddings, got " +
                         (matrix ? std::string("a variant") : layer.site().module_class) +
                         ". Train it with other target_modules.");
}

// The directions of W + delta, among the strongest, that no direction of W comes close to.
Tensor intruders(const Tensor& of_base, const Tensor& of_merged, const IntruderOptions& options) {
  const Tensor cosines = std::get<0>(at::mm(of_merged.t(), of_base).abs().max(1));
  const int64_t looked_at = std::min(options.top_k, cosines.size(0));
  return at::nonzero(cosines.narrow(0, 0, looked_at) < options.threshold_epsilon).flatten();
}

struct Reduced {
  Tensor a, b;        // undefined: nothing intrudes
  int64_t found = 0;  // directions that do
};

// weight, change: in the orientation of the weight.
Reduced reduce(const Tensor& weight, const Tensor& change, const LoraAdapter& adapter, bool turned,
               const IntruderOptions& options) {
  const Tensor wide = weight.to(at::kFloat);
  const Tensor merged = (weight + change.to(weight.scalar_type())).to(at::kFloat);
  const auto of_base = at::linalg_svd(wide, false);
  const auto of_merged = at::linalg_svd(merged, false);
  const Tensor index = intruders(std::get<0>(of_base), std::get<0>(of_merged), options);
  if (index.numel() == 0) return {};
  const Tensor part = at::mm(
      std::get<0>(of_merged).index_select(1, index) * std::get<1>(of_merged).index_select(0, index),
      std::get<2>(of_merged).index_select(0, index));
  const Tensor kept = merged + (options.mitigation_lambda - 1.0) * part;
  const Tensor left = (kept - wide) / adapter.scaling;
  const auto svd = at::linalg_svd(turned ? left.t() : left, false);
  const int64_t rank = std::min(adapter.a.size(0), std::get<1>(svd).size(0));
  const Tensor roots = std::get<1>(svd).narrow(0, 0, rank).sqrt();
  return {.a = roots.unsqueeze(1) * std::get<2>(svd).narrow(0, 0, rank),
          .b = std::get<0>(svd).narrow(1, 0, rank) * roots,
          .found = index.numel()};
}

void write_reduced(const LoraAdapter& target, const Reduced& reduced) {
  if (!reduced.a.defined()) return;  // the copy of the old adapter stays
  const int64_t rank = reduced.a.size(0);
  target.a.detach().zero_();
  target.b.detach().zero_();
  target.a.detach().narrow(0, 0, rank).copy_(reduced.a);
  target.b.detach().narrow(1, 0, rank).copy_(reduced.b);
}

}  // namespace

void reduce_intruder_dimension(Tuner& tuner, const IntruderOptions& options) {
  const auto log = [&](const std::string& text) {
    if (options.log) options.log(text);
  };
  const std::string& from = options.old_adapter_name;
  const std::string& to = options.new_adapter_name;
  LoraConfig config = tuner.config(from).as<LoraConfig>();
  for (const Attachment& attachment : tuner.attachments()) {
    const auto* layer = dynamic_cast<const LoraLayer*>(attachment.layer.get());
    if (layer != nullptr && layer->has(from)) check_intruder_layer(*layer, from);
  }
  // What is drawn is written over; a decomposition of the base weights must not be made again.
  if (!config.init_lora_weights.is_bool()) config.init_lora_weights = true;
  at::NoGradGuard no_grad;
  tuner.inject(to, config);
  try {
    tuner.load_state(to, tuner.state(from));
    for (const Attachment& attachment : tuner.attachments()) {
      const auto* layer = dynamic_cast<const LoraLayer*>(attachment.layer.get());
      if (layer == nullptr || !layer->has(from)) continue;
      const Tensor weight = plain_weight(attachment);
      const Reduced reduced = reduce(weight, layer->delta_of(from, weight), layer->adapter(from),
                                     has_input_rows(layer->site().kind), options);
      write_reduced(layer->adapter(to), reduced);
      log(layer->site().module_name + ": " +
          (reduced.found == 0 ? "No intruders" : "Intruders: " + std::to_string(reduced.found)));
    }
  } catch (...) {
    tuner.take_back_injection();
    throw;
  }
  log("Enabling new adapter " + to);
  tuner.set_active({to});
}

}  // namespace peft::lora
