#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "peft/adapter/attention_adapters.h"
#include "peft/adapter/config.h"
#include "peft/adapter/load_result.h"
#include "peft/adapter/method.h"
#include "peft/adapter/model_facts.h"
#include "peft/adapter/model_tree.h"
#include "peft/adapter/modules_to_save.h"
#include "peft/adapter/offloaded_weight.h"
#include "peft/adapter/prompt_encoders.h"
#include "peft/adapter/shared_weights.h"
#include "peft/adapter/site.h"
#include "peft/adapter/tuner_layer.h"
#include "peft/base/json.h"
#include "peft/tensor/state_dict.h"

namespace peft {

struct InjectOptions {
  bool autocast_adapter_dtype = true;  // adapters of a half-precision base are float32
  bool low_cpu_mem_usage = false;      // without values until they are loaded
};

/// Whether a file of an adapter holds the base's embeddings too. kAuto: where they are targeted, or
/// the vocabulary grew, unless single tokens are trained.
enum class SaveEmbeddingLayers { kAuto, kYes, kNo };

struct StateOptions {
  SaveEmbeddingLayers save_embedding_layers = SaveEmbeddingLayers::kAuto;
  bool vocabulary_grew = false;  // against the model that the adapter's config names
};

/// A site with what rides on it. `originals` are the bytes from before a merge.
struct Attachment {
  FoundSite found;
  std::shared_ptr<TunerLayer> layer;
  const Method* method = nullptr;  // whose layer it is; null for one that lies beside
  bool beside = false;             // of trainable_token_indices: not one of the method's own
  FormerValues original_weight = {}, original_bias = {};  // while something is merged
};

/// Called with the number of layers that are done and of all.
using LayerProgress = std::function<void(int64_t done, int64_t all)>;

struct MergeOptions {
  bool safe = false;  // every result is seen to be finite before anything is written
  /// False: the former bytes of a weight are dropped when it is done; unload() has to follow.
  bool can_unmerge = true;
  LayerProgress progress = {};
};

/// All adapters in one model, of one method or of several that mix: puts them in, switches, folds
/// in and takes out, and knows their state under the keys of Python's files. Every change either
/// completes or leaves the model as it was. Not to be used while a forward runs.
///
/// Source: BaseTuner in peft/tuners/tuners_utils.py.
class Tuner {
 public:
  using Configs = std::vector<std::pair<std::string, PeftConfig>>;

  Tuner(ModelTree tree, ModelFacts facts, const Method& method);
  /// For adapters of any of these methods, of which there is at least one.
  /// Source: MixedModel in peft/tuners/mixed/model.py.
  Tuner(ModelTree tree, ModelFacts facts, std::vector<const Method*> mixed);

  const ModelTree& tree() const { return tree_; }
  const ModelFacts& facts() const { return facts_; }
  /// The method of all adapters; of a mixed model the first that it takes.
  const Method& method() const { return *methods_.front(); }
  /// True where the adapters are prompts: see BasePromptEncoder.
  bool is_prompt_learning() const { return method().is_prompt_learning(); }
  /// True where adapters of other methods may join.
  bool is_mixed() const { return mixed_; }

  // Adapters.

  /// Adds an adapter; the first one becomes active and freezes the base model.
  /// Throws: ConfigError, NoMatchError, UnsupportedError.
  void inject(const std::string& adapter, PeftConfig config, const InjectOptions& options = {});

  /// Undoes the last injection, as if it had never been: for a caller that could not fill the
  /// adapter with values. The base's parameters learn again where they did before.
  void take_back_injection();

  /// Lets go of what take_back_injection() would need: the values that the base weights had where
  /// the last adapter changed them.
  void keep_injection();

  /// Lets an adapter of a tied head share the memory of the embedding's again, where its config
  /// ensures weight tying: for a caller that has given either of them other memory.
  void tie_again(const std::string& adapter);

  /// Takes every adapter out of one module, which computes as its base does from then on.
  void remove_site(const std::string& module_name);

  /// Takes adapters out, one after the other. Where the only active one goes, the first of the
  /// others becomes active; in a mixed model the first of each layer that had it.
  /// Throws: NotFoundError; ConfigError where one is merged; then all of them are still there.
  void remove(const std::vector<std::string>& adapters);

  const Configs& configs() const { return configs_; }
  /// Throws: NotFoundError with the closest names.
  const PeftConfig& config(const std::string& adapter) const;
  PeftConfig& config(const std::string& adapter);
  bool has(const std::string& adapter) const;

  // Activation.

  const std::vector<std::string>& active_adapters() const { return active_; }
  /// Activates exactly these, in this order, and lets them train unless `inference_mode`.
  void set_active(const std::vector<std::string>& adapters, bool inference_mode = false);
  void set_requires_grad(const std::string& adapter, bool requires_grad);
  /// One adapter a row in the place of the active ones, until null is set: see MixedBatch, which
  /// checks that they can.
  void set_rows(std::shared_ptr<const AdapterRows> rows);
  const std::shared_ptr<const AdapterRows>& rows() const { return rows_; }
  bool enabled() const { return enabled_; }
  /// Off: the model computes as the base does, and no adapter trains. On: as it was before.
  void set_enabled(bool enabled);

  // Merging.

  /// Folds adapters (empty: the active ones) into the base weights.
  /// Throws: NotFoundError, UnsupportedError, ConfigError, IoError (of an offloaded weight); the
  /// weights are then as they were, unless they were merged before or cannot be unmerged.
  void merge(const std::vector<std::string>& adapters = {}, const MergeOptions& options = {});
  /// Puts the exact bytes from before the merge back.
  void unmerge();
  /// Throws UnsupportedError where unload() would: to be asked before a merge that it follows.
  void check_untying() const;
  bool merged() const;
  /// Throws: UnsupportedError where two of these layers have one weight in common, as replicated
  /// layers do, so that merging into both would change it twice.
  void check_unshared(const std::vector<const Attachment*>& written) const;
  /// Takes everything out of the model. Copies of modules_to_save that are active stay, as in
  /// Python; where such a weight was tied, the module gets one of its own.
  /// Throws: UnsupportedError where a module cannot be untied; then nothing has changed.
  void unload();

  // State.

  /// The adapter's tensors under the keys of adapter_model.safetensors.
  StateDict state(const std::string& adapter, const StateOptions& options = {}) const;
  /// Fills the adapter from a file's tensors.
  /// Throws: MismatchError where a shape differs or, if `strict`, where the file and the adapter
  /// have other keys; then nothing has changed.
  LoadResult load_state(const std::string& adapter, const StateDict& tensors,
                        const LoadStateOptions& options = {});

  /// The key of Python's files for a name of the base: "base_model.model.fc1.base_layer.weight".
  std::string file_name(const std::string& name) const;

  /// The base's own parameters and buffers under the names that they have without adapters.
  StateDict base_state() const;
  /// Fills them. Throws: MismatchError (a shape; with `strict` keys that differ), ConfigError (an
  /// adapter is merged); then nothing has changed.
  LoadResult load_base_state(const StateDict& tensors, bool strict);

  /// Throws ConfigError where a weight has lost its adapter, as set_data and vector_to_parameters
  /// do.
  void verify() const;

  std::vector<Attachment>& attachments() { return attachments_; }
  const std::vector<Attachment>& attachments() const { return attachments_; }
  const std::vector<std::unique_ptr<SavedModule>>& saved_modules() const { return saved_; }
  /// The prompts of prompt learning; empty for methods that adapt weights.
  const PromptEncoders& prompts() const { return prompts_; }
  /// The prompt that is put before the tokens now; null: none is.
  BasePromptEncoder* active_prompt() const;
  /// What Python puts before the names of the base: a prompt's model is not wrapped a second time.
  std::string file_prefix() const;
  /// The names of the modules that are adapted, in the order in which they were found.
  std::vector<std::string> targeted_modules() const;

 private:
  struct Plan;  // injection_plan.h
  class FileNames;
  struct Injection {
    std::string adapter = {};  // empty: none, or it was taken back
    bool first = false;
    size_t sites = 0, saved = 0;          // how many there were before
    std::vector<at::Tensor> frozen = {};  // parameters of the base that it froze
    std::vector<std::pair<at::Tensor, FormerValues>> changed =
        {};                              // base weights and former values
    std::function<void()> unstack = {};  // puts the layers back that it stacked again
  };
  void put_originals_back();
  /// Throws: ConfigError where adapters of this type may not be here.
  const Method& method_of(const std::string& adapter, const PeftConfig& config) const;
  void check_beside_others(const std::string& adapter, const PeftConfig& config) const;
  void put_in(const std::string& adapter, PeftConfig config, const InjectOptions& options);
  /// Returns what takes it back; empty: nothing was to be done.
  std::function<void()> stack_layers(const SharedFields& fields);
  void unstack_layers(const std::function<void()>& unstack);
  Plan make_plan(const std::string& adapter, PeftConfig& config, const InjectOptions& options);
  Plan make_prompt_plan(const std::string& adapter, PeftConfig& config);
  Plan make_attention_plan(PeftConfig& config, const Method& method);
  void attach_prompt(const Plan& plan, const std::string& adapter, const PeftConfig& config);
  void plan_sites(Plan& plan, const std::vector<ModuleEntry>& targeted, const std::string& adapter,
                  PeftConfig& config, const InjectOptions& options);
  void plan_parameters(Plan& plan, const std::vector<ModuleEntry>& modules,
                       const std::string& adapter, PeftConfig& config,
                       const InjectOptions& options);
  void plan_tokens(Plan& plan, const std::vector<ModuleEntry>& modules, const std::string& adapter,
                   PeftConfig& config, const InjectOptions& options);
  void plan_tied_target(Plan& plan, const std::vector<ModuleEntry>& modules,
                        const std::string& adapter, PeftConfig& config,
                        const InjectOptions& options);
  void plan_tied_copy(Plan& plan, const std::vector<ModuleEntry>& modules,
                      const std::string& adapter);
  void plan_saved(Plan& plan, const std::vector<ModuleEntry>& modules, const std::string& adapter,
                  const SharedFields& fields);
  /// One more adapter at a site that is adapted already, and the first at a new one.
  void extend(Plan& plan, const Attachment& known, const std::string& adapter,
              const PeftConfig& config, const InjectOptions& options) const;
  void create(Plan& plan, Attachment made, const std::string& adapter, const PeftConfig& config,
              const InjectOptions& options) const;
  void initialise(Plan& plan, TunerLayer& layer, const std::string& adapter,
                  const PeftConfig& config, const at::Tensor& weight) const;
  void attach(Plan& plan);
  void roll_back(Plan& plan, const std::string& adapter);
  void attach_saved(SavedModule& saved, const SharedWeights& shared);
  void detach_site(Attachment& attachment);
  void detach_saved(SavedModule& saved);
  std::vector<at::Tensor> freeze_base();
  void leave_copies();
  bool stays_tied(const SharedWeights& shared, const at::Tensor& weight) const;
  void mark_biases();
  void check_removable(const std::string& adapter) const;
  void remove_one(const std::string& adapter);
  std::vector<std::string> successors_of(const std::string& adapter) const;
  void activate_saved(const std::vector<std::string>& adapters, bool inference_mode);
  std::vector<std::pair<std::string, at::Tensor>> bias_state(const PeftConfig& config) const;
  bool targets_embeddings(const PeftConfig& config) const;
  void add_embedding_state(const PeftConfig& config, const StateOptions& options,
                           StateDict& state) const;
  void drop_values(const std::string& adapter);
  std::vector<std::pair<std::string, at::Tensor>> adapter_tensors(const std::string& adapter) const;

  ModelTree tree_;
  ModelFacts facts_;
  std::vector<const Method*> methods_;
  bool mixed_ = false;
  Configs configs_;
  std::vector<std::string> active_;
  bool enabled_ = true, started_ = false;
  std::vector<Attachment> attachments_;
  std::vector<std::unique_ptr<SavedModule>> saved_;
  PromptEncoders prompts_;
  AttentionAdapters attention_;
  std::vector<at::Tensor> paused_;  // trainable parameters while switched off
  Injection last_injection_;
  Json stacked_ = nullptr;  // the layer_replication that the model's layers are in
  std::shared_ptr<const AdapterRows> rows_;
};

}  // namespace peft
