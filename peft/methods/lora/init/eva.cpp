// EVA: the components of the layers' inputs. eva_ranks.cpp writes them into the adapter.

#include "peft/methods/lora/init/eva.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <string_view>

#include "peft/adapter/matching.h"
#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/methods/lora/config.h"
#include "peft/methods/lora/init/incremental_pca.h"
#include "peft/methods/lora/init/observed_inputs.h"

namespace peft {
namespace {

using at::Tensor;

constexpr uint64_t kSeed = 42;             // that Python decomposes with
constexpr double kUnusualRho = 1000.0;     // above it the width of the model bounds the ranks
constexpr int64_t kMostBatches = 100'000;  // Python goes on for ever

// A layer whose inputs are looked at, with its share of the ranks.
struct Source {
  lora::ObservedLayer layer;
  std::string name;
  int64_t most = 0;      // components to look for
  size_t same_as = 0;    // the first layer that is given the same inputs; itself where none is
  int64_t rank = 0;      // dealt out so far
  bool watching = true;  // its calls are taken in
  std::optional<IncrementalPCA> pca = {};  // of a layer that is the first with its inputs
  Tensor stands = {};                      // bool [K]: components that have stood still
};

// [B, T, I] and a mask [B, T] -> [N, I]; without a mask every position.
Tensor positions(const Tensor& x, const Tensor& mask, const std::string& name) {
  if (!mask.defined()) return x.reshape({-1, x.size(-1)});
  if (x.dim() == mask.dim() + 1 && x.sizes().slice(0, mask.dim()) == mask.sizes()) {
    const Tensor places = mask.flatten().nonzero().squeeze(1);
    return x.flatten(0, mask.dim() - 1).index_select(0, places);
  }
  throw ConfigError("EVA: module '" + name + "': expected inputs " +
                    shape_text(mask.sizes().vec()) + " x features, as the mask of the batch, got " +
                    shape_text(x.sizes().vec()) +
                    ". Leave the mask undefined, or do not target this module.");
}

// Equal bytes, as two layers have that read one activation.
size_t hash_of(const Tensor& x) {
  const Tensor whole = x.contiguous().cpu();
  const auto* bytes = static_cast<const char*>(whole.const_data_ptr());
  return std::hash<std::string_view>()({bytes, whole.nbytes()});
}

class EvaRun {
 public:
  EvaRun(Tuner& tuner, const std::vector<EvaBatch>& batches, const std::string& adapter,
         const EvaProgress& progress)
      : tuner_(tuner),
        batches_(batches),
        config_(tuner.config(adapter).as<LoraConfig>()),
        eva_(config_.eva_config.value_or(EvaConfig())),
        progress_(progress) {}

  std::vector<EvaComponents> run() {
    find_sources();
    find_equal_inputs();
    for (int64_t step = 0;; ++step) {
      if (all_stand()) break;
      check_progress(step);
      const EvaBatch& batch = batches_[static_cast<size_t>(step) % batches_.size()];
      look_at(batch, [&](Source& source, const Tensor& x) { take_in(source, x); });
      const bool all_begun = std::all_of(sources_.begin(), sources_.end(), [&](const Source& each) {
        return sources_[each.same_as].pca->fitted();
      });
      if (all_begun) deal_ranks();
      if (progress_) progress_(count_standing(), sources_.size());
    }
    return result();
  }

 private:
  void find_sources() {
    double rho = eva_.rho;
    if (rho > kUnusualRho)
      rho = std::min(rho, std::floor(widest() / static_cast<double>(config_.r)));
    for (const Attachment& attachment : tuner_.attachments()) {
      if (attachment.beside) continue;
      const SiteKind kind = attachment.found.site.kind;
      if (!is_linear(kind)) continue;
      Source source{.layer = {attachment.found, attachment.layer},
                    .name = attachment.found.site.module_name};
      const int64_t rank =
          pattern_value(config_.rank_pattern, source.name, config_.r, "rank_pattern");
      // Python's round: halves go to the even number.
      source.most = static_cast<int64_t>(std::nearbyint(static_cast<double>(rank) * rho));
      source.rank = source.most;
      source.same_as = sources_.size();
      budget_ += rank;
      sources_.push_back(std::move(source));
    }
    if (sources_.empty()) {
      throw ConfigError(
          "EVA: expected at least one linear layer with an adapter, got none. Name linear layers "
          "in target_modules.");
    }
  }

  double widest() const {
    int64_t most = 1;
    for (const auto& [name, tensor] : tuner_.tree().parameters()) {
      for (const int64_t side : tensor.sizes()) most = std::max(most, side);
    }
    return static_cast<double>(most);
  }

  // Runs the model on a batch with the layers watched.
  template <typename Look>
  void look_at(const EvaBatch& batch, Look look) {
    at::NoGradGuard no_grad;
    std::vector<lora::ObservedLayer> layers;
    for (const Source& source : sources_) layers.push_back(source.layer);
    const lora::ObservedInputs observed(
        tuner_.tree(), std::move(layers), [&](size_t which, const lora::ObservedCall& call) {
          Source& source = sources_[which];
          if (!source.watching) return;
          look(source, positions(call.x.detach(), batch.mask, source.name));
        });
    batch.forward();
  }

  void find_equal_inputs() {
    std::map<size_t, size_t> first;   // hash -> layer
    std::map<size_t, size_t> hashes;  // layer -> hash
    look_at(batches_.front(), [&](Source& source, const Tensor& x) {
      const auto place = static_cast<size_t>(&source - sources_.data());
      if (!hashes.contains(place)) hashes[place] = hash_of(x);
    });
    for (size_t i = 0; i < sources_.size(); ++i) {
      if (!hashes.contains(i)) {
        throw ConfigError("EVA: module '" + sources_[i].name +
                          "': expected it to be called in the forward of a batch, got no call. Do "
                          "not target this module.");
      }
      sources_[i].same_as = first.emplace(hashes[i], i).first->second;
    }
    for (const Source& source : sources_) {
      Source& head = sources_[source.same_as];
      head.most = std::max(head.most, source.most);
    }
    for (size_t i = 0; i < sources_.size(); ++i) {
      Source& source = sources_[i];
      source.most = source.rank = sources_[source.same_as].most;
      source.watching = source.same_as == i;
      if (!source.watching) continue;
      source.pca.emplace(IncrementalPCAOptions{
          .n_components = source.most, .lowrank = true, .lowrank_seed = kSeed});
      source.stands = at::zeros({source.most}, at::kBool);
    }
  }

  void take_in(Source& source, const Tensor& x) {
    if (x.size(0) < source.most) return;  // too few positions: another batch may have more
    const Tensor before = source.pca->components();
    source.pca->partial_fit(x.to(at::kFloat));
    if (!before.defined()) return;
    source.stands = at::cosine_similarity(source.pca->components(), before) >= eva_.tau;
  }

  bool stands(const Source& source) const {
    return source.stands.slice(0, 0, source.rank).all().item<bool>();
  }

  // A layer is looked at until its components stand still, and again when it is dealt more.
  bool all_stand() {
    bool all = true;
    for (size_t i = 0; i < sources_.size(); ++i) {
      if (sources_[i].same_as != i) continue;
      sources_[i].watching = !stands(sources_[i]);
      all = all && !sources_[i].watching;
    }
    return all;
  }

  size_t count_standing() const {
    return static_cast<size_t>(
        std::count_if(sources_.begin(), sources_.end(),
                      [&](const Source& each) { return stands(sources_[each.same_as]); }));
  }

  void check_progress(int64_t step) const {
    if (step >= kMostBatches) {
      throw ConfigError("EVA: expected components that stand still after " +
                        std::to_string(kMostBatches) +
                        " batches, got none. Lower eva_config.tau or use larger batches.");
    }
    if (step < static_cast<int64_t>(batches_.size())) return;
    for (const Source& source : sources_) {
      if (sources_[source.same_as].pca->fitted()) continue;
      throw ConfigError("EVA: module '" + source.name + "': expected a batch with at least " +
                        std::to_string(source.most) +
                        " positions, as many as there are components, got none. Use larger "
                        "batches, or lower r or eva_config.rho.");
    }
  }

  // The components of all layers in the order of the variance that they explain; the first ones
  // are taken until the budget is spent.
  void deal_ranks() {
    std::vector<Tensor> shares;
    std::vector<size_t> owners;
    for (const size_t i : in_order()) {
      const Source& head = sources_[sources_[i].same_as];
      shares.push_back(head.pca->explained_variance_ratio().slice(0, 0, head.most).to(at::kDouble));
      owners.insert(owners.end(), static_cast<size_t>(shares.back().size(0)), i);
    }
    const Tensor order = at::cat(shares).argsort(-1, true);
    for (Source& source : sources_) source.rank = 0;
    const int64_t taken = std::min(budget_, order.numel());
    for (int64_t i = 0; i < taken; ++i) {
      ++sources_[owners[static_cast<size_t>(order[i].item<int64_t>())]].rank;
    }
    // The layer that is looked at must have the largest rank of those with its inputs.
    for (Source& source : sources_) {
      Source& head = sources_[source.same_as];
      if (head.rank < source.rank) std::swap(head.rank, source.rank);
    }
  }

  // As Python lists them: first the layers that are looked at, then those like them.
  std::vector<size_t> in_order() const {
    std::vector<size_t> order;
    for (size_t i = 0; i < sources_.size(); ++i) {
      if (sources_[i].same_as == i) order.push_back(i);
    }
    for (size_t head = 0; head < sources_.size(); ++head) {
      for (size_t i = 0; i < sources_.size(); ++i) {
        if (sources_[i].same_as == head && i != head) order.push_back(i);
      }
    }
    return order;
  }

  std::vector<EvaComponents> result() const {
    std::vector<EvaComponents> found;
    for (const Source& source : sources_) {
      const IncrementalPCA& pca = *sources_[source.same_as].pca;
      Tensor components = pca.components().slice(0, 0, source.rank);
      if (eva_.whiten) {
        // In place, as in Python: components that several layers share are divided once for each.
        components.div_(pca.singular_values().slice(0, 0, source.rank).sqrt().view({-1, 1}));
      }
      found.push_back({.module_name = source.name, .components = components});
    }
    return found;
  }

  Tuner& tuner_;
  const std::vector<EvaBatch>& batches_;
  const LoraConfig& config_;
  const EvaConfig eva_;
  const EvaProgress& progress_;
  std::vector<Source> sources_;
  int64_t budget_ = 0;
};

// Switches adapters off for as long as it lives.
class BaseAlone {
 public:
  explicit BaseAlone(Tuner& tuner) : tuner_(tuner), enabled_(tuner.enabled()) {
    tuner_.set_enabled(false);
  }
  ~BaseAlone() { tuner_.set_enabled(enabled_); }
  BaseAlone(const BaseAlone&) = delete;
  BaseAlone& operator=(const BaseAlone&) = delete;

 private:
  Tuner& tuner_;
  bool enabled_;
};

}  // namespace

Tensor eva_mask(const Tensor& input_ids, const Tensor& attention_mask, const Tensor& labels,
                const EvaConfig& config) {
  Tensor mask =
      attention_mask.defined() ? attention_mask.to(at::kBool) : at::ones_like(input_ids, at::kBool);
  if (config.use_label_mask && labels.defined()) {
    mask = mask.logical_and(labels != config.label_mask_value);
  }
  return mask;
}

std::vector<EvaComponents> get_eva_state_dict(Tuner& tuner, const std::vector<EvaBatch>& batches,
                                              const std::string& adapter,
                                              const EvaProgress& progress) {
  if (batches.empty()) {
    throw ConfigError("EVA: expected at least one batch of data, got none. Give it some.");
  }
  const BaseAlone base(tuner);
  const TrainingMode evaluation(tuner.tree(), false);
  return EvaRun(tuner, batches, adapter, progress).run();
}

}  // namespace peft
